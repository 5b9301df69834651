"""What a manager shows of itself over HTTP, where --listen-metrics or --listen-debug ask for it."""

import asyncio

from swarmd.config import NodeConfig
from swarmd.store import Store


class Observability:
    """Most managers show nothing so: they start faster, and are smaller, without an HTTP server."""

    def __init__(self, config: NodeConfig, store: Store) -> None:
        self._config = config
        self._store = store

    async def run(self) -> None:
        """Serve until cancelled; raises CannotBootError for an address that cannot be had."""
        if not (self._config.listen_metrics or self._config.listen_debug):
            await asyncio.Event().wait()
        from workers.manager.http_pages import HttpPages  # noqa: PLC0415

        await HttpPages(self._config, self._store).run()
