"""How a command ends: exit codes that scripts can rely on, errors in one line, and no password in either."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import click

from jobkit.errors import ConfigurationError, InvalidArguments, JobKitError, NotFound, SetupRequired, Unavailable
from jobkit.url import Url

OK = 0
ERROR = 1
USAGE = 2
CONFIGURATION = 3
UNREACHABLE = 4
NOT_FOUND = 5
PARTIAL = 6

EXPLAINED = {
    OK: "done",
    ERROR: "it failed",
    USAGE: "wrong usage: an option, a value, a job's argument",
    CONFIGURATION: "configuration: URL, adapter, app that cannot be imported, missing setup",
    UNREACHABLE: "the backend was not reached",
    NOT_FOUND: "no such job, dead letter or handler",
    PARTIAL: "some of several failed",
}

_BY_ERROR: tuple[tuple[type[JobKitError], int], ...] = (
    (ConfigurationError, CONFIGURATION),
    (SetupRequired, CONFIGURATION),
    (Unavailable, UNREACHABLE),
    (NotFound, NOT_FOUND),
    (InvalidArguments, USAGE),
)

_SECRETS = "jobkit.secrets"
_SHORTEST_SECRET = 4
"""Shorter passwords are hidden inside URLs only: elsewhere they would be found in every other word."""

_IN_URL = re.compile(r"(://[^:/@\s]*):\S*@")


class Failure(click.ClickException):
    """An error in words for a person, with its exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        # click declares it for the class, and reads it from the instance.
        vars(self)["exit_code"] = exit_code


def exit_code(error: JobKitError) -> int:
    """The exit code that says what kind of error it was."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ERROR)


@contextmanager
def told_plainly(context: click.Context) -> Iterator[None]:
    """Whatever is raised inside ends the command with a message that shows no password; only bugs show a traceback."""
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = masked(error.message, context)
        raise
    except JobKitError as error:
        raise Failure(masked(_in_words(error), context), exit_code(error)) from error
    except (click.exceptions.Exit, click.Abort, OSError, EOFError):
        raise
    except Exception as error:
        raise Failure(masked(traceback.format_exc(), context), ERROR) from error


def _in_words(error: JobKitError) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, SetupRequired) and "jobkit setup" not in text:
        return f"{text}\nrun: jobkit setup"
    return text


def hide(context: click.Context, url: Url) -> None:
    """From now on, messages do not show the password of *url*."""
    if url.password is not None and len(url.password) >= _SHORTEST_SECRET:
        context.find_root().meta.setdefault(_SECRETS, set()).update({url.password, quote(url.password, safe="")})


def masked(text: str, context: click.Context) -> str:
    """*text* without any URL's password."""
    text = _IN_URL.sub(r"\1:***@", text)
    for secret in sorted(context.find_root().meta.get(_SECRETS, ()), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
