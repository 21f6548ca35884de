"""
What the suite is told about a backend: the URL, and nothing else unless a third party says more.

Subclass nothing: build a `Harness` with what you have. Hooks that it lacks make the clauses that need them "not run".
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping

import attrs

from jobkit.url import Url
from jobkit_contract.connecting import OPENERS, Opener
from jobkit_contract.manifest import Manifest
from jobkit_contract.place import Place

_RUN = f"{os.getpid() % 36**4:x}{os.urandom(3).hex()}"
_numbers = itertools.count(1)


@attrs.frozen(kw_only=True)
class Harness:
    """
    Attributes:
        url: The transport under test (or a backend that is only a store).
        store_url: The store under test, if it is not *url*'s own.
        adapter: ``module:attribute`` of the adapter, where no entry point names it yet.
        openers: How a user of this backend opens a database connection, by URL scheme and kind of connection. For the
            transactional clauses.
        emulator: The emulator's name, if the server is one. It stands in the report.
    """

    url: Url
    store_url: Url | None = None
    adapter: str = ""
    openers: Mapping[str, Mapping[str, Opener]] = OPENERS
    emulator: str = ""

    @classmethod
    def of(cls, url: str, store: str = "", *, adapter: str = "", emulator: str = "") -> Harness:
        """From texts, as a command line has them."""
        store_url = Url.parse(store) if store else None
        return cls(url=Url.parse(url), store_url=store_url, adapter=adapter, emulator=emulator)

    def fresh_place(self) -> Place:
        """A namespace that nobody has used before."""
        place = Place(url=self.url, store_url=self.store_url, adapter=self.adapter)
        return place.in_namespace(f"ct_{_RUN}_{next(_numbers)}")

    def manifest(self) -> Manifest:
        """Read off handles that are opened for it; that does no I/O."""
        place = self.fresh_place()
        transport, store = place.open_transport(), place.open_store()
        manifest = Manifest(
            None if transport is None else transport.capabilities, None if store is None else store.capabilities
        )
        for handle in (transport, store):
            if handle is not None:
                handle.close()
        return manifest
