"""Which managers keep the store together: what the file says, and who may write it when."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from swarmd.errors import CorruptStateError
from swarmd.quorum_file import (
    EXISTING,
    FORCED,
    MOVING,
    QuorumFile,
    change,
    discard,
    is_shared,
)

FILE = QuorumFile(node_id="a", members={"a": "h:1", "b": "h:2"})


def test_of_two_that_change_it_at_once_neither_loses_what_the_other_wrote(tmp_path: Path):
    path = tmp_path / "quorum.json"
    FILE.save(path)

    def learn(name: str) -> None:
        change(path, lambda file: replace(file, members={**file.members, name: "h:9"}))

    names = [f"n{number}" for number in range(60)]
    with ThreadPoolExecutor(4) as writers:
        list(writers.map(learn, names))
    assert QuorumFile.load(path) == replace(
        FILE, members={**FILE.members} | dict.fromkeys(names, "h:9")
    )


def test_where_there_is_none_nothing_is_changed(tmp_path: Path):
    assert change(tmp_path / "quorum.json", QuorumFile.started) is None
    assert change(tmp_path / "etcd" / "quorum.json", QuorumFile.started) is None
    assert [] == list(tmp_path.iterdir())


def test_it_goes_on_alone_once_until_it_is_started_without_being_told_so():
    forced = FILE.at_start(force=True)
    assert ({"a": "h:1"}, FORCED, True) == (forced.members, forced.start, forced.forced)
    later = replace(forced.started(), members={"a": "h:1", "c": "h:3"})
    assert later == later.at_start(force=True)  # a crash
    assert FORCED == later.at_start(force=False).at_start(force=True).start  # another disaster


def test_one_whose_store_moves_is_alone_and_goes_on_so_without_being_forced():
    moving = QuorumFile(node_id="a", members={"a": "h:1"}, start=MOVING)
    forced = moving.at_start(force=True)
    assert (MOVING, True) == (forced.start, forced.forced)
    assert EXISTING == forced.started().at_start(force=True).start  # a crash, with others by then


@pytest.mark.parametrize(
    ("start", "shared"), [(None, False), (MOVING, False), (EXISTING, True), (FORCED, True)]
)
def test_the_store_is_shared_from_the_end_of_its_move_on(
    tmp_path: Path, start: str | None, shared: bool
):
    path = tmp_path / "quorum.json"
    if start is not None:
        replace(FILE, start=start).save(path)
    assert shared == is_shared(path)


def test_a_damaged_file_counts_as_that_of_one_of_several(tmp_path: Path):
    path = tmp_path / "quorum.json"
    path.write_text("{")
    assert is_shared(path)


def test_what_is_discarded_is_gone_also_what_was_left_of_it_before(tmp_path: Path):
    for left in ("etcd", "etcd.gone.0", "etcd.gone.7"):
        (tmp_path / left / "data").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    discard(tmp_path / "etcd")
    discard(tmp_path / "etcd")
    assert ["other"] == [one.name for one in tmp_path.iterdir()]


@pytest.mark.parametrize("text", ["", "{}", '{"node_id": 1, "members": {}, "start": "existing"}'])
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str):
    path = tmp_path / "quorum.json"
    path.write_text(text)
    with pytest.raises(CorruptStateError, match=str(path)):
        QuorumFile.load(path)
