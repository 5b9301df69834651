"""Removed nodes lose what they have open, on every manager, whether it leads or not."""

from collections.abc import Callable

from swarmd import api
from swarmd.store import Select, Store, WatchOverflowError


class Revocation:
    """Calls `end_removed` whenever the list of refused certificates may have grown."""

    def __init__(self, store: Store, end_removed: Callable[[], None]) -> None:
        self._store = store
        self._end_removed = end_removed

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                async with self._store.watch(Select(api.Cluster)) as watcher:
                    while True:
                        self._end_removed()
                        await watcher.next()
            except WatchOverflowError:
                continue
