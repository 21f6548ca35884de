"""What the server's and the driver's errors mean to the core."""

from __future__ import annotations

import ssl

from amqp.exceptions import AccessRefused, AMQPError, NotAllowed, NotFound, PreconditionFailed

from jobkit.errors import ConfigurationError, JobKitError, SetupRequired, Unavailable


class ReplyLost(Unavailable):
    """The request had left when the connection failed, so it may have been carried out. Writers turn it into UNKNOWN."""


class Missing(SetupRequired):
    """The queue that was asked about does not exist."""


def translated(error: Exception, masked: str) -> JobKitError:
    """
    The error of the line for one that the server answered, or that the driver met, before anything was changed.

    Args:
        masked: The URL for people.
    """
    if isinstance(error, JobKitError):
        return error
    text = f"{masked}: {words(error)}"
    if isinstance(error, NotFound):
        return Missing(f"{text}; run: jobkit setup --url '{masked}'")
    if isinstance(error, AccessRefused | NotAllowed):
        return ConfigurationError(text)
    if isinstance(error, PreconditionFailed):
        return ConfigurationError(f"{text}; the server refuses this as it stands")
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConfigurationError(f"{masked}: the server's certificate: {error.verify_message}; see ssl_ca")
    return Unavailable(text)


def words(error: BaseException) -> str:
    if isinstance(error, AMQPError):
        return f"{error.reply_text or type(error).__name__} ({error.reply_code})"
    return str(error) or type(error).__name__
