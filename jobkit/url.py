"""A backend's URL: what it names, its options, and a text of it that shows no password."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import attrs

from jobkit.durations import seconds
from jobkit.errors import ConfigurationError

T = TypeVar("T")

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}


@attrs.frozen
class Url:
    """
    A parsed URL: ``scheme://username:password@host:port/path?option=value``.

    Attributes:
        path: Without its first slash, decoded; ``sqlite:///a.db`` is a.db, ``sqlite:////var/a.db`` is /var/a.db.
        params: The options. An adapter reads them with `options`, which refuses unknown ones.
    """

    scheme: str
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    path: str = ""
    params: Mapping[str, str] = attrs.field(factory=dict, hash=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Url:
        """
        Raises:
            ConfigurationError: *text* is no URL. The message does not repeat it, since it may hold a password.
        """
        try:
            parts = urlsplit(text)
            port = parts.port
            pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError as error:
            kind = type(error).__name__
            raise ConfigurationError(f"not a usable backend URL ({kind}); one looks like {_SAMPLES}") from None
        if parts.fragment:
            raise ConfigurationError("not a backend URL: it has a '#'; in a name or password write it as %23")
        if not parts.scheme or "://" not in text:
            raise ConfigurationError(f"not a backend URL: it has no scheme; one looks like {_SAMPLES}")
        _refuse_repeats(name for name, _ in pairs)
        return cls(
            scheme=parts.scheme,
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            host=None if parts.hostname is None else unquote(parts.hostname),
            port=port,
            path=unquote(parts.path[1:]),
            params=dict(pairs),
        )

    def options(self, shape: type[T]) -> T:
        """
        The options as an instance of *shape*, an attrs class whose fields (str, int, float, bool) all have defaults.

        A float is a duration in seconds and may be written "10m".

        Raises:
            ConfigurationError: An option is unknown (the message names the nearest known one) or has a wrong value.
        """
        fields = attrs.fields_dict(attrs.resolve_types(shape))  # type: ignore[arg-type, type-var]
        for name in self.params:
            if name not in fields:
                raise ConfigurationError(f"{self.scheme} URL: unknown option {name!r}{nearest(name, fields)}")
        values = {name: _convert(name, text, fields[name].type) for name, text in self.params.items()}
        try:
            return shape(**values)
        except ValueError as error:
            raise ConfigurationError(f"{self.scheme} URL: {error}") from error

    def with_params(self, **params: str) -> Url:
        """The same URL with *params* set."""
        return attrs.evolve(self, params={**self.params, **params})

    def text(self) -> str:
        """The whole URL, password included: for connecting and for handing to a child process, never to be shown."""
        return self._render(None if self.password is None else quote(self.password, safe=""))

    def __str__(self) -> str:
        """The URL with its password masked, and every option whose name says that it is secret."""
        params = {name: "***" if _SECRET.search(name) else value for name, value in self.params.items()}
        return attrs.evolve(self, params=params)._render(None if self.password is None else "***")

    def _render(self, password: str | None) -> str:
        user = "" if self.username is None else quote(self.username, safe="")
        secret = "" if password is None else f":{password}"
        at = "@" if user or secret else ""
        host = "" if self.host is None else (f"[{self.host}]" if ":" in self.host else quote(self.host, safe=""))
        port = "" if self.port is None else f":{self.port}"
        path = f"/{quote(self.path, safe='/')}" if self.path else ""
        query = "&".join(f"{quote(name)}={quote(value, safe='/:*')}" for name, value in self.params.items())
        return f"{self.scheme}://{user}{secret}{at}{host}{port}{path}{'?' + query if query else ''}"


_SECRET = re.compile(r"pass|secret|token|credential|key$", re.IGNORECASE)
_SAMPLES = "sqlite:///jobs.db or postgresql://user@host/database"


def nearest(name: str, known: Iterable[str]) -> str:
    """The tail of an error about an unknown *name*: the nearest of *known*, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(names)}" if names else "; none is known"


def _refuse_repeats(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigurationError(f"the option {name!r} stands twice in the URL")
        seen.add(name)


def _convert(name: str, text: str, kind: Any) -> Any:
    try:
        if kind is bool:
            return _boolean(text)
        if kind is float:
            return float(text) if text.replace(".", "", 1).isdigit() else seconds(text, name)
        return kind(text) if kind in (int, str) else text
    except ValueError:
        raise ConfigurationError(f"URL option {name}={text!r}: expected {getattr(kind, '__name__', kind)}") from None


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError(text)
