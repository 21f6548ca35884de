"""
Configuration: one frozen value, validated once and handed down. Only this file reads the environment.

Adapters are found here by their URL's scheme, through the entry-point group ``jobkit.adapters``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any

import attrs

from jobkit.adapter import LINE, Adapter
from jobkit.errors import ConfigurationError
from jobkit.store import Store
from jobkit.transport import Transport
from jobkit.url import Url, nearest

URL_VARIABLE = "JOBKIT_URL"
STORE_VARIABLE = "JOBKIT_STORE_URL"
OUTBOX_VARIABLE = "JOBKIT_OUTBOX_URL"

ADAPTERS = "jobkit.adapters"


@attrs.frozen
class Backends:
    """
    Which transport and which store, by URL.

    Attributes:
        store: The transport's own URL where no other is named.
        outbox: The SQL database in which the application's transactions live, where that is not the transport's; None
            where ``connection=`` needs no outbox.
    """

    transport: Url
    store: Url
    outbox: Url | None = None

    @property
    def same_database(self) -> bool:
        """Whether jobs and records lie in one database, so that one transaction can hold both."""
        return _place(self.transport) == _place(self.store)


def _place(url: Url) -> Url:
    """What of *url* says where things lie."""
    return attrs.evolve(url, params={name: value for name, value in url.params.items() if name == "namespace"})


def backends(
    default: str | None,
    store: str | None,
    outbox: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Backends:
    """
    The backends to use: the environment's ``JOBKIT_URL``, ``JOBKIT_STORE_URL`` and ``JOBKIT_OUTBOX_URL`` win over what the
    code says. An outbox in the transport's own place is none: ``connection=`` writes there directly.

    Raises:
        ConfigurationError: Nothing names a backend; jobs never go silently to a file of jobkit's own choosing.
    """
    env = os.environ if environment is None else environment
    named = env.get(URL_VARIABLE) or default
    if not named:
        raise ConfigurationError(
            f"no backend: set {URL_VARIABLE}, or give JobKit(default=...); for a start sqlite:///jobkit.db needs no server"
        )
    transport = Url.parse(named)
    # A store that the code names belongs to the transport that it names: another transport from the environment comes
    # with its own store, unless the environment names that too.
    store_named = env.get(STORE_VARIABLE) or (store if not env.get(URL_VARIABLE) or not default else None)
    return Backends(
        transport, Url.parse(store_named) if store_named else transport, _outbox(named_outbox(outbox, env), transport)
    )


def named_outbox(outbox: str | None, environment: Mapping[str, str] | None = None) -> str | None:
    """The outbox that the environment or the code names, if one does."""
    env = os.environ if environment is None else environment
    return env.get(OUTBOX_VARIABLE) or outbox


def _outbox(named: str | None, transport: Url) -> Url | None:
    url = Url.parse(named) if named else None
    return None if url is None or _place(url) == _place(transport) else url


@contextmanager
def overridden(url: str | None, store: str | None) -> Iterator[None]:
    """
    For the length of the block, *url* and *store* stand in the environment's place, for child processes too. So they need
    not stand on a child's command line, where everybody could read the password.

    A *url* comes with its own store, unless *store* is named beside it: a store that the environment names belongs to the
    environment's transport.
    """
    named = {URL_VARIABLE: url, STORE_VARIABLE: store} if url else {STORE_VARIABLE: store} if store else {}
    before = {name: os.environ.get(name) for name in named}
    _set(named)
    try:
        yield
    finally:
        _set(before)


def _set(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def load_adapter(url: Url) -> Adapter:
    """
    The adapter for *url*'s scheme.

    Raises:
        ConfigurationError: None is installed, it cannot be loaded, or it implements another version of the lines.
    """
    found = {entry.name: entry for entry in entry_points(group=ADAPTERS)}
    entry = found.get(url.scheme)
    if entry is None:
        raise ConfigurationError(
            f"no adapter for {url.scheme}:// is installed{nearest(url.scheme, found)} (pip install 'jobkit-sdk[...]')"
        )
    try:
        adapter: Any = entry.load()
    except ImportError as error:
        raise ConfigurationError(f"the adapter for {url.scheme}:// ({entry.value}) cannot be loaded: {error}") from error
    if adapter.line != LINE:
        raise ConfigurationError(
            f"the adapter for {url.scheme}:// implements version {adapter.line} of the lines; this jobkit has {LINE}"
        )
    return adapter  # type: ignore[no-any-return]


def open_transport(url: Url) -> Transport:
    """The transport that *url* names; no I/O yet."""
    transport = load_adapter(url).transport(url)
    if transport is None:
        raise ConfigurationError(f"{url.scheme}:// is only a store, it carries no jobs; name it in {STORE_VARIABLE}")
    return transport


def open_store(url: Url) -> Store:
    """The store that *url* names; no I/O yet."""
    store = load_adapter(url).store(url)
    if store is None:
        raise ConfigurationError(
            f"{url.scheme}:// has no store of its own: set {STORE_VARIABLE}, for example to postgresql:// or redis://"
        )
    return store
