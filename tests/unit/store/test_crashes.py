"""Whatever is interleaved, and wherever it is cut: what is left is a prefix of the transactions."""

import asyncio
import functools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from swarmd.errors import SwarmError
from swarmd.store import Backend, Committed, Select, SqliteBackend, Store
from tests.fakes.clock import FakeClock
from tests.unit.store.backends import MortalBackend, PowerCutError
from tests.unit.store.changes import Model, Plan, change, plans, seen

# Rounds of what is in flight together; a list within a round is one batch.
Round = list[Plan | list[Plan]]
rounds = st.lists(
    st.lists(plans | st.lists(plans, min_size=1, max_size=4), min_size=1, max_size=6), max_size=6
)


async def play(backend: Backend, history: Sequence[Round]) -> list[Model]:
    """Run it until the power is cut; the state after each version that was told to someone."""
    states = [Model()]
    async with Store(backend, FakeClock()) as store, store.watch(Select(Committed)) as commits:
        del commits  # its queue is not read: a watcher must never hold up a writer
        log: dict[int, list[Plan]] = {}
        for together in history:
            await asyncio.gather(*(submit(store, log, part) for part in together))
            known = [Model()]
            for version in range(1, store.version + 1):
                known.append(functools.reduce(Model.apply, log.get(version, []), known[-1]))
            states = known
            assert states[-1] == seen(store.view())
    return states


async def submit(store: Store, log: dict[int, list[Plan]], part: Plan | list[Plan]) -> None:
    """Note under each version what it did, once that is acknowledged."""
    together = part if isinstance(part, list) else [part]
    for plan, result in zip(together, await results(store, part), strict=True):
        if isinstance(result, int):
            log.setdefault(result, []).append(plan)


async def results(store: Store, part: Plan | list[Plan]) -> list[int | SwarmError | PowerCutError]:
    try:
        if isinstance(part, list):
            return list(await store.batch([functools.partial(change, plan) for plan in part]))
        return [await store.update(functools.partial(change, part))]
    except (SwarmError, PowerCutError) as error:
        return [error] * (len(part) if isinstance(part, list) else 1)


async def state_of(backend: Backend) -> tuple[int, Model]:
    async with Store(backend, FakeClock()) as store:
        return store.version, seen(store.view())


@settings(max_examples=100, deadline=None)
@given(history=rounds)
def test_any_interleaving_is_some_order_of_whole_transactions(history: list[Round]) -> None:
    backend = MortalBackend(commits=1_000_000)
    states = asyncio.run(play(backend, history))
    assert (len(states) - 1, states[-1]) == asyncio.run(state_of(backend))


@settings(max_examples=100, deadline=None)
@given(history=rounds, commits=st.integers(0, 8))
def test_a_power_cut_at_any_commit_leaves_what_was_committed_before(
    history: list[Round], commits: int
) -> None:
    whole = asyncio.run(play(MortalBackend(commits=1_000_000), history))
    backend = MortalBackend(commits)
    cut = asyncio.run(play(backend, history))
    assert whole[: len(cut)] == cut, "the same work is done until the cut"
    version, state = asyncio.run(state_of(backend))
    assert cut[version] == state


@settings(max_examples=30, deadline=None)
@given(history=rounds, data=st.data())
def test_a_power_cut_at_any_byte_leaves_a_prefix(history: list[Round], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory(prefix="swd") as directory:
        path = Path(directory) / "swarm.db"
        torn = Path(directory) / "torn.db"
        states = asyncio.run(play_and_tear(path, torn, history))
        log = torn.with_name("torn.db-wal")
        with log.open("r+b") as file:
            file.truncate(data.draw(st.integers(0, log.stat().st_size), label="bytes kept"))
        version, state = asyncio.run(state_of(SqliteBackend(torn)))
        assert states[version] == state


async def play_and_tear(path: Path, torn: Path, history: list[Round]) -> list[Model]:
    """Play it, and keep a copy of the file and its log as they were while it was still open."""
    backend = CopiedBackend(path, torn)
    return await play(backend, history)


class CopiedBackend(SqliteBackend):
    """As it is closed, the files are copied first: as after a power cut, with all in the log."""

    def __init__(self, path: Path, copy: Path) -> None:
        super().__init__(path)
        self._copy = copy

    async def close(self) -> None:
        shutil.copy(self.path, self._copy)
        log = self.path.with_name(self.path.name + "-wal")
        kept = self._copy.with_name(self._copy.name + "-wal")
        kept.write_bytes(log.read_bytes() if log.exists() else b"")
        await super().close()
