"""Backends with a knob: they fail, they wait, they die."""

import asyncio
from collections.abc import Sequence

from swarmd.errors import UnavailableError
from swarmd.store import MemoryBackend, Row
from swarmd.store.backend import AlwaysHeld


class FailingBackend(MemoryBackend):
    """Its commits fail while `failing` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.failing = False

    async def commit(self, version: int, rows: Sequence[Row]) -> None:
        await asyncio.sleep(0)
        if self.failing:
            message = "the disk is on fire"
            raise UnavailableError(message)
        await super().commit(version, rows)


class GatedBackend(MemoryBackend):
    """Its commits wait until `open` is set; counts them, and says when one waits."""

    def __init__(self) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.waits = asyncio.Event()
        self.sizes: list[int] = []

    async def commit(self, version: int, rows: Sequence[Row]) -> None:
        self.waits.set()
        await self.open.wait()
        self.sizes.append(len(rows))
        await super().commit(version, rows)


class LosableLease(AlwaysHeld):
    """Held as long as it is `ours`."""

    ours = True

    @property
    def held(self) -> bool:
        return self.ours


class PowerCutError(Exception):
    """No SwarmError: the process would be gone."""


class MortalBackend(MemoryBackend):
    """Keeps so many commits and no more: the one after them is lost, as is all that follows."""

    def __init__(self, commits: int) -> None:
        super().__init__()
        self.left = commits

    async def commit(self, version: int, rows: Sequence[Row]) -> None:
        await asyncio.sleep(0)
        if self.left == 0:
            raise PowerCutError
        self.left -= 1
        await super().commit(version, rows)
