"""The backend: which URL is in force, whether it can be opened and reached, and what its adapter thinks of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime

import click

from jobkit import config
from jobkit.app import JobKit
from jobkit.cli.apps import open_app
from jobkit.cli.examination.diagnosis import Diagnosis
from jobkit.cli.failures import Failure
from jobkit.config import STORE_VARIABLE, URL_VARIABLE, Backends, load_adapter
from jobkit.errors import ConfigurationError, JobKitError
from jobkit.store import Store
from jobkit.transport import Transport
from jobkit.url import Url

Opener = Callable[[Url], Transport | Store]

LARGEST_SKEW = 2.0
"""Seconds. All instants are the store's, so a wrong clock here does no harm to jobs; it confuses whoever compares logs."""


def examine_backend(context: click.Context, app_path: str | None, factory: bool) -> Iterator[Diagnosis]:
    try:
        app = context.with_resource(open_app(context, app_path, factory))
    except (JobKitError, Failure) as error:
        yield Diagnosis("error", "configuration", str(error), "see --url, --app, JOBKIT_URL and JOBKIT_STORE_URL")
        return
    urls = app.backends
    yield from _configuration(context, urls, app if app_path else None)
    found = list(_examine("transport", urls.transport, config.open_transport))
    yield from found
    if urls.store != urls.transport:
        yield from _examine("store", urls.store, config.open_store)
    elif not any(diagnosis.level == "error" for diagnosis in found):
        yield from _examine("store", urls.store, config.open_store, whole=False)
    yield from examine_clock(urls.store)


def _configuration(context: click.Context, urls: Backends, app: JobKit | None) -> Iterator[Diagnosis]:
    yield Diagnosis("ok", "configuration", f"transport {urls.transport} ({_origin(context)})")
    origin = "the transport's own" if urls.store == urls.transport else _store_origin(context)
    yield Diagnosis("ok", "configuration", f"store {urls.store} ({origin})")
    if app is not None:
        handlers = app.handlers()
        queues = sorted({handler.options.queue for handler in handlers})
        if handlers:
            yield Diagnosis("ok", "app", f"handlers: {len(handlers)}; queues: {', '.join(queues)}")
        else:
            yield Diagnosis("warning", "app", "it has no handlers", "name their modules: JobKit(modules=[...])")


def _origin(context: click.Context) -> str:
    if context.params.get("url"):
        return "from --url"
    return f"from {URL_VARIABLE}" if _environment() is not None else "the app's default"


def _store_origin(context: click.Context) -> str:
    if context.params.get("store"):
        return "from --store"
    environment = _environment()
    named = environment is not None and environment.store != environment.transport
    return f"from {STORE_VARIABLE}" if named else "the app's own"


def _environment() -> Backends | None:
    """What holds without the app."""
    try:
        return config.backends(None, None)
    except ConfigurationError:
        return None


def _examine(subject: str, url: Url, open_it: Opener, *, whole: bool = True) -> Iterator[Diagnosis]:
    """Open it, which does no I/O but reads the URL's options; then, of the *whole*, ask what the adapter sees."""
    try:
        open_it(url).close()
        findings = load_adapter(url).check(url) if whole else []
    except ConfigurationError as error:
        yield Diagnosis("error", subject, str(error), "correct the URL, or install what it needs")
    except JobKitError as error:
        yield Diagnosis("error", subject, str(error), "see that the server runs, and that URL and permissions are right")
    else:
        yield from (Diagnosis.of(subject, finding) for finding in findings)


def examine_clock(url: Url) -> Iterator[Diagnosis]:
    """An embedded store has this host's clock, and asking it might make its file."""
    if url.host is None:
        return
    try:
        store = config.open_store(url)
        with closing(store):
            skew, doubt = _skew(store)
    except JobKitError:
        return  # told already, as a finding about the store
    what = f"this host's clock is {abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} the store's"
    if abs(skew) > LARGEST_SKEW + doubt:
        yield Diagnosis("warning", "clock", what, "set this host's clock; jobs keep to the store's")
    else:
        yield Diagnosis("ok", "clock", what)


def _skew(store: Store) -> tuple[float, float]:
    """By how many seconds the store's clock is ahead of ours, and how far that may be wrong."""
    store.now()  # connects, which would count as doubt
    before = datetime.now(UTC)
    theirs = store.now()
    doubt = (datetime.now(UTC) - before) / 2
    return (theirs - before - doubt).total_seconds(), doubt.total_seconds()
