"""A backend that lasts as long as the object: for tests, simulations and benchmarks."""

import asyncio
from collections.abc import Sequence

from swarmd.store.backend import AlwaysHeld, Lease, Loaded, Row, Sole


class MemoryBackend(Sole):
    """Keeps rows in a dict; a store that opens it later finds what the last one committed."""

    place = "memory"

    def __init__(self) -> None:
        self.lease: Lease = AlwaysHeld()
        self.version = 0
        self.rows: dict[tuple[str, str], Row] = {}

    async def load(self) -> Loaded:
        return Loaded(self.version, list(self.rows.values()))

    async def commit(self, version: int, rows: Sequence[Row]) -> None:
        await asyncio.sleep(0)  # as any real one: others run between the change and its effect
        for row in rows:
            if row.data is None:
                self.rows.pop((row.kind, row.id), None)
            else:
                self.rows[row.kind, row.id] = row
        self.version = version

    async def close(self) -> None:
        """What was committed stays."""
