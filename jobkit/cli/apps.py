"""The app that a command works with."""

from __future__ import annotations

import traceback

import click

from jobkit.app import JobKit
from jobkit.cli.failures import CONFIGURATION, Failure, hide, masked
from jobkit.errors import ConfigurationError, JobKitError
from jobkit.worker.loading import load_app


def open_app(context: click.Context, path: str | None, factory: bool) -> JobKit:
    """
    The app at *path* with all its handlers; a bare one, for the backend that URL and environment name, if there is none.

    Raises:
        Failure: Its module raised something, which is shown whole: it is the user's own code.
        ConfigurationError: There is no such app, or nothing names a backend.
    """
    app = JobKit() if path is None else _load(context, path, factory)
    try:
        urls = app.backends
    except ConfigurationError as error:
        if path is not None or not str(error).startswith("no backend"):
            raise
        text = "no backend: give --url, set JOBKIT_URL, or name the app whose default it is with --app module:attribute"
        raise ConfigurationError(text) from error
    hide(context, urls.transport)
    hide(context, urls.store)
    return app


def _load(context: click.Context, path: str, factory: bool) -> JobKit:
    try:
        app = load_app(path, factory)
        app.load()
    except JobKitError:
        raise
    except Exception as error:
        raise Failure(masked(f"{path} cannot be imported\n{traceback.format_exc()}", context), CONFIGURATION) from error
    return app
