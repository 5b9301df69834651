"""A watch that resumes is told what one that stayed was told, whatever happened and was chosen."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from swarmd import api
from swarmd.store import MemoryBackend, Store
from swarmd.store.transaction import WriteTx
from tests import builders
from tests.fakes.clock import FakeClock
from tests.unit.manager.test_watch_api import ALL, Stream, entry

NAMES = ["a", "b", "c"]
LAST = "last"
KINDS = ("config", "network")
STEPS = st.lists(
    st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(NAMES)), min_size=1, max_size=3),
    max_size=8,
)
CHOSEN = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(1, ALL), st.sampled_from([None, *NAMES])),
    min_size=1,
    max_size=2,
    unique_by=lambda one: one[0],
)


def toggle(tx: WriteTx, kind: str, name: str) -> None:
    """Make it; where it is there, change it, and where it was changed, remove it."""
    table = getattr(tx, f"{kind}s")
    found = next((one for one in table.find() if one.spec.annotations.name == name), None)
    if found is None:
        table.create(getattr(builders, kind)(name))
    elif "changed" in found.spec.annotations.labels:
        table.delete(found.id)
    else:
        one = table.copy(found.id)
        one.spec.annotations.labels["changed"] = "yes"
        table.update(one)


def entries(chosen: list[tuple[str, int, str | None]]) -> list[api.WatchRequest.WatchEntry]:
    made = [
        entry(kind, action, *([{"name": name}] if name else [])) for kind, action, name in chosen
    ]
    return [*made, entry("secret")]  # tells the end


async def told(stream: Stream) -> list[api.WatchMessage]:
    """Up to the end."""
    found = []
    while True:
        message = await stream.next()
        if any(event.object.HasField("secret") for event in message.events):
            return found
        found.append(message)


async def play(
    steps: list[list[tuple[str, str]]], chosen: list[tuple[str, int, str | None]], start: int
) -> None:
    async with Store(MemoryBackend(), FakeClock()) as store:
        versions = [store.version]
        async with Stream(store, *entries(chosen)) as stayed:
            for step in steps:
                await store.update(lambda tx, step=step: [toggle(tx, *one) for one in step])
                versions.append(store.version)
            since = versions[start % len(versions)]
            await store.update(lambda tx: tx.secrets.create(builders.secret(LAST)))
            live = [one for one in await told(stayed) if one.version.index > since]
        async with Stream(store, *entries(chosen), resume_from=api.Version(index=since)) as resumed:
            assert live == await told(resumed)


@settings(max_examples=60, deadline=None)
@given(STEPS, CHOSEN, st.integers(0, 8))
def test_resuming_is_as_if_one_had_stayed(
    steps: list[list[tuple[str, str]]], chosen: list[tuple[str, int, str | None]], start: int
) -> None:
    asyncio.run(play(steps, chosen, start))
