"""What the services' and the client library's errors mean to the core."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError

from jobkit.errors import ConfigurationError, JobKitError, Rejected, SetupRequired, Unavailable
from jobkit_sqs.options import Target

_MISSING = {"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "ResourceNotFoundException"}

_MISCONFIGURED = {
    *("AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAddress"),
    *("SignatureDoesNotMatch", "InvalidSignatureException", "MissingAuthenticationToken", "IncompleteSignature"),
    *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed", "OptInRequired"),
    *("KmsAccessDenied", "KmsDisabled", "KmsInvalidKeyUsage", "KmsInvalidState", "KmsNotFound", "KmsOptInRequired"),
}
"""Who asks, or how, is wrong: asking again won't help."""

_BUSY = {
    *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException"),
    *("TooManyRequestsException", "RequestLimitExceeded", "ProvisionedThroughputExceededException", "KmsThrottled"),
    *("LimitExceededException", "OverLimit", "QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently"),
    *("ResourceInUseException", "TransactionConflictException"),
}
"""Refused for now; nothing has changed."""

_NOT_REACHED = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
_WRONG_HERE = (
    *(NoCredentialsError, PartialCredentialsError, CredentialRetrievalError),
    *(NoRegionError, InvalidRegionError, ProfileNotFound),
)


class ReplyLost(Unavailable):
    """The request had left when it failed, so it may have been carried out. Writers turn it into UNKNOWN."""


class Missing(SetupRequired):
    """A queue or table does not exist."""


def code_of(error: ClientError) -> str:
    """SQS may name one error in two ways, as ``com.amazonaws.sqs#QueueDoesNotExist`` or by its older code."""
    return str(error.response.get("Error", {}).get("Code", "")).rpartition("#")[2]


def is_code(error: JobKitError, *codes: str) -> bool:
    """Whether *error* stands for one of the service's *codes*."""
    return isinstance(error.__cause__, ClientError) and code_of(error.__cause__) in codes


@contextmanager
def translated(target: Target, what: str) -> Iterator[None]:
    """Errors in the block become those of `jobkit.errors`, with the library's own as their cause."""
    try:
        yield
    except ClientError as error:
        raise _answered(error, target, what) from error
    except _NOT_REACHED as error:
        raise Unavailable(f"{target.masked}: {what}: {error}") from error
    except _WRONG_HERE as error:
        raise ConfigurationError(f"{target.masked}: {what}: {error}") from error
    except (BotoConnectionError, HTTPClientError) as error:
        raise ReplyLost(f"{target.masked}: {what}: {error}") from error
    except BotoCoreError as error:
        # Among them a reply that cannot be read, after which nobody knows what has happened.
        raise ReplyLost(f"{target.masked}: {what}: {type(error).__name__}: {error}") from error


def missing(target: Target, what: str) -> Missing:
    return Missing(f"{target.masked}: {what}; run: jobkit setup --url '{target.masked}'")


def _answered(error: ClientError, target: Target, what: str) -> JobKitError:
    code, text = code_of(error), f"{target.masked}: {what}: {error}"
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _MISSING:
        return missing(target, f"{what}: {error}")
    if code in _BUSY or status == 429:
        return Unavailable(text)
    if code in _MISCONFIGURED or status in (401, 403):
        return ConfigurationError(text)
    return ReplyLost(text) if status >= 500 or not status else Rejected(text)
