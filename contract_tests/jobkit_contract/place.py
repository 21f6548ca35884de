"""One namespace on one backend: how to open a transport and a store there. Plain data, so that a child process can too."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import cast

import attrs

from jobkit.adapter import Adapter, Change
from jobkit.config import load_adapter
from jobkit.store import Store
from jobkit.transport import Transport
from jobkit.url import Url


@attrs.frozen(kw_only=True)
class Place:
    """
    Attributes:
        url: The transport's, namespace included.
        store_url: The store's, if it is not *url* itself.
        adapter: ``module:attribute``, in place of what the entry points name; empty for those.
    """

    url: Url
    store_url: Url | None = None
    adapter: str = ""

    @property
    def urls(self) -> tuple[Url, ...]:
        return (self.url,) if self.store_url is None else (self.url, self.store_url)

    def adapter_of(self, url: Url) -> Adapter:
        if not self.adapter:
            return load_adapter(url)
        module, _, name = self.adapter.partition(":")
        return cast(Adapter, getattr(import_module(module), name))

    def open_transport(self) -> Transport | None:
        return self.adapter_of(self.url).transport(self.url)

    def open_store(self) -> Store | None:
        url = self.store_url or self.url
        return self.adapter_of(url).store(url)

    def open_transport_beside_store(self) -> Transport | None:
        """A transport of the store's own backend and namespace, whatever carries the jobs."""
        url = self.store_url or self.url
        return self.adapter_of(url).transport(url)

    def setup(self, queues: Sequence[str]) -> list[Change]:
        return [change for url in self.urls for change in self.adapter_of(url).setup(url, queues)]

    def teardown(self) -> None:
        for url in self.urls:
            self.adapter_of(url).teardown(url)

    def in_namespace(self, namespace: str) -> Place:
        urls = [url.with_params(namespace=namespace) for url in self.urls]
        return attrs.evolve(self, url=urls[0], store_url=urls[1] if urls[1:] else None)

    def as_json(self) -> dict[str, str]:
        """For a child's standard input, never for its command line: the URLs may hold passwords."""
        return {
            "url": self.url.text(),
            "store_url": self.store_url.text() if self.store_url else "",
            "adapter": self.adapter,
        }

    @classmethod
    def from_json(cls, data: dict[str, str]) -> Place:
        store = Url.parse(data["store_url"]) if data["store_url"] else None
        return cls(url=Url.parse(data["url"]), store_url=store, adapter=data["adapter"])
