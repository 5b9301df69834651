"""What is made of the end of an etcd, by what it said last."""

import json
from pathlib import Path

import pytest

from swarmd.errors import CannotBootError, SwarmError
from tests.fakes.clock import FakeClock
from workers.etcd.member import Member, RemovedError
from workers.etcd.slowness import Slowness

_BROKEN = {"level": "warn", "msg": "lost TCP streaming connection", "error": "unexpected EOF"}
_FULL = {
    "level": "fatal",
    "msg": "failed to save Raft snapshot",
    "error": "write data/member/snap: no space left on device",
    "stacktrace": "etcdserver/api/snap.(*Snapshotter).save\n\tpkg/crc/crc.go",
}
_DAMAGED = {"level": "fatal", "msg": "discovery failed", "error": "walpb: crc mismatch"}
_GARBAGE = "panic: freepages: failed to get all reachable pages (page -1: out of bounds: 5)"


def ends(tmp_path: Path, *said: object, status: str = "exit 1") -> Member:
    """One whose etcd says this, and then ends so."""
    lines = [one if isinstance(one, str) else json.dumps(one) for one in said]
    (tmp_path / "said").write_text("".join(f"{line}\n" for line in lines))
    script = f"cat said >&2; {status}"
    return Member("m", tmp_path, tmp_path, lambda: ["sh", "-c", script], Slowness(FakeClock()))


@pytest.mark.parametrize("said", [_DAMAGED, _GARBAGE])
async def test_damaged_data_are_told_with_the_way_out(tmp_path: Path, said: object):
    with pytest.raises(CannotBootError, match="nothing in it was changed") as ended:
        await ends(tmp_path, said, "", "goroutine 1 [running]:").run()
    assert str(tmp_path / "data") in str(ended.value)


@pytest.mark.parametrize(
    ("said", "status", "told"),
    [
        (_FULL, "exit 1", "etcd ended with status 1: "),
        (_BROKEN, "kill -9 $$", "etcd was killed by SIGKILL"),
        (_BROKEN, "exit 2", "etcd ended with status 2: "),
    ],
)
async def test_another_end_is_no_damage_though_it_has_its_words(
    tmp_path: Path, said: object, status: str, told: str
):
    with pytest.raises(SwarmError) as ended:
        await ends(tmp_path, said, status=status).run()
    assert SwarmError is type(ended.value)
    assert str(ended.value).startswith(told)


async def test_one_that_ends_unasked_and_says_nothing_was_removed_by_the_others(tmp_path: Path):
    with pytest.raises(RemovedError):
        await ends(tmp_path, status="exit 0").run()


async def test_a_line_without_an_end_is_passed_over(tmp_path: Path):
    endless = {"level": "warn", "msg": "apply request took too long", "request": "x" * (3 << 20)}
    with pytest.raises(CannotBootError, match="crc mismatch"):
        await ends(tmp_path, endless, _DAMAGED).run()
