"""etcd's many lines on a slow disk become one sentence."""

import json

import pytest

from tests.fakes.clock import FakeClock
from workers.etcd.slowness import Slowness, seconds


@pytest.mark.parametrize(
    ("text", "expected"), [("1.25s", 1.25), ("812.5ms", 0.8125), ("1m2s", 62.0), ("", 0.0)]
)
def test_durations_are_read_as_go_writes_them(text: str, expected: float):
    assert pytest.approx(expected) == seconds(text)


def line(said: str, **about: str) -> tuple[str, str]:
    return said, json.dumps({"level": "warn", "msg": said, **about}, separators=(",", ":"))


FSYNC = line("slow fdatasync", took="1.2s", **{"expected-duration": "1s"})
LATE = line(
    "leader failed to send out heartbeat on time; took too long, leader is overloaded likely from"
    " slow disk",
    **{"expected-duration": "200ms", "exceeded-duration": "812.5ms"},
)


def test_a_disk_of_which_nothing_was_heard_is_not_slow():
    assert "" == Slowness(FakeClock()).sentence


def test_the_worst_is_told_once_a_minute():
    clock = FakeClock()
    slowness = Slowness(clock)
    told = []
    for _ in range(70):
        assert slowness.hear(*LATE)
        assert slowness.hear(*FSYNC)
        told.append(slowness.due())
        clock.advance(seconds=1.0)
    assert 2 == len([one for one in told if one])
    assert "up to 1.2 s" in told[0]


def test_it_is_over_half_a_minute_after_the_last_word():
    clock = FakeClock()
    slowness = Slowness(clock)
    slowness.hear(*FSYNC)
    clock.advance(seconds=31.0)
    assert "" == slowness.sentence


def test_signs_of_life_that_are_late_may_have_another_cause():
    slowness = Slowness(FakeClock())
    slowness.hear(*LATE)
    assert "went out up to 0.8 s late" in slowness.sentence
    assert "the disk is slow:" not in slowness.sentence


def test_what_is_late_by_little_is_nothing_to_tell():
    slowness = Slowness(FakeClock())
    assert slowness.hear(LATE[0], LATE[1].replace("812.5ms", "45.2ms"))
    assert "" == slowness.sentence


def test_other_lines_are_none_of_its():
    assert not Slowness(FakeClock()).hear(*line("lost the TCP streaming connection"))
