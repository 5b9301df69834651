"""The journal stays small, and no owner pushes out another's past."""

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from swarmd.api import times
from swarmd.api.protos.journal_pb2 import JournalEntry, JournalPage
from workers.manager.journal import pages
from workers.manager.journal.entries import MOST_KINDS, MOST_NAMED, VARIOUS, Gathering, Note
from workers.manager.journal.pages import Ledger


def page(number: int, owner: str = "web", entries: int = 10, size: int = 10) -> JournalPage:
    made = JournalPage(id=f"{number:06}", owner_id=owner)
    made.entries.extend([JournalEntry(what="x", why="y" * size)] * entries)
    made.meta.created_at.CopyFrom(times.timestamp(number))
    return made


def test_an_owner_keeps_its_newest_pages():
    ledger = Ledger(page(number) for number in range(150))
    assert [f"{number:06}" for number in range(50)] == ledger.surplus(["web"])
    assert [] == ledger.surplus(["web"])


def test_a_noisy_owner_pushes_out_its_own_past_alone():
    noisy = (page(number, "noisy") for number in range(1, 1000))
    ledger = Ledger([page(0, "quiet"), *noisy])
    assert "000000" not in ledger.surplus(["noisy", "quiet"])


def test_over_all_the_oldest_pages_go():
    many = [page(number, f"s{number}", entries=1000, size=1) for number in range(60)]
    ledger = Ledger(many)
    assert [one.id for one in many[:10]] == ledger.surplus([one.owner_id for one in many])


def test_the_newest_page_stays_whatever_its_size():
    assert [] == Ledger([page(1, entries=5000)]).surplus(["web"])


def test_a_page_is_written_on_until_it_is_large():
    ledger = Ledger([page(1, entries=1)])
    assert "000001" == ledger.last("web")
    ledger.put(page(1, entries=400))
    assert ledger.last("web") is None
    assert ledger.last("other") is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 900), st.integers(1, 200))))
def test_after_every_write_the_bounds_hold(written: list[tuple[str, int, int]]):
    ledger, kept = Ledger(()), dict[str, JournalPage]()
    for number, (owner, entries, size) in enumerate(written):
        made = page(number, owner, entries, size)
        ledger.put(made)
        kept[made.id] = made
        for gone in ledger.surplus([owner]):
            del kept[gone]
        mine = [one for one in kept.values() if one.owner_id == owner]
        assert len(mine) == 1 or sum(len(one.entries) for one in mine) <= pages.OWNER_ENTRIES
        assert len(mine) == 1 or _bytes(mine) <= pages.OWNER_BYTES
        assert _bytes(kept.values()) <= pages.ALL_BYTES or len(kept) == 1


def test_alike_notes_share_an_entry_that_names_the_first_tasks():
    gathering = Gathering()
    gathering.add((Note("placed", service_id="web", task_id=str(n)) for n in range(1000)), 5.0)
    ((entry,),) = gathering.take().values()
    assert (1000, MOST_NAMED) == (entry.task_count, len(entry.tasks))
    assert not gathering


def test_too_many_different_reasons_share_one_in_the_end():
    gathering = Gathering()
    notes = (Note("restarted", f"error {n}", service_id="web", task_id=str(n)) for n in range(5000))
    gathering.add(notes, 5.0)
    (entries,) = gathering.take().values()
    assert MOST_KINDS + 1 == len(entries)
    assert (VARIOUS, 5000 - MOST_KINDS) == (entries[-1].why, entries[-1].task_count)


def test_entries_are_split_into_pages_and_none_is_lost():
    entries = [JournalEntry(what=str(number), why="y" * 500) for number in range(100)]
    chunks = list(pages.split(entries))
    assert entries == [entry for chunk in chunks for entry in chunk]
    assert all(_bytes(chunk) < 2 * pages.PAGE_BYTES for chunk in chunks)


def _bytes(messages: Iterable[JournalPage | JournalEntry]) -> int:
    return sum(one.ByteSize() for one in messages)
