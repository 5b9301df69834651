"""Frames, lines and messages of a container's output."""

import struct

import pytest

from swarmd import api
from workers.agent.executors.docker import output

STDOUT, STDERR = api.LogStream.LOG_STREAM_STDOUT, api.LogStream.LOG_STREAM_STDERR


def frame(number: int, text: bytes) -> bytes:
    return struct.pack(">BxxxL", number, len(text)) + text


@pytest.mark.parametrize("size", [1, 3, 7, 8, 9, 100])
def test_frames_are_whole_however_they_come(size: int) -> None:
    sent = frame(1, b"one\n") + frame(2, b"") + frame(2, b"two\n")
    frames = output.Frames()
    found = [each for at in range(0, len(sent), size) for each in frames.take(sent[at : at + size])]
    assert [(STDOUT, b"one\n"), (STDERR, b""), (STDERR, b"two\n")] == found


def test_a_terminal_has_lines() -> None:
    lines = output.Lines()
    assert [] == list(lines.take(b"on"))
    assert [(STDOUT, b"one\n"), (STDOUT, b"two\n")] == list(lines.take(b"e\ntwo\nth"))


def test_a_message_has_its_time_attributes_and_line() -> None:
    text = b"2026-01-02T03:04:05.000000678Z a=b%20c,d=%2C a line\n"
    found = output.message(STDERR, text)
    assert b"a line\n" == found.data
    assert [("a", "b c"), ("d", ",")] == [(each.key, each.value) for each in found.attrs]
    assert "2026-01-02T03:04:05.000000678Z" == found.timestamp.ToJsonString()


def test_a_message_without_attributes_keeps_its_spaces() -> None:
    found = output.message(STDOUT, b"2026-01-02T03:04:05Z   indented = x\n")
    assert (b" indented = x\n", 0) == (found.data, len(found.attrs))


@pytest.mark.parametrize(("tail", "wanted"), [(0, "all"), (-1, "0"), (-11, "10"), (5, "all")])
def test_a_tail_is_counted_as_the_engine_counts(tail: int, wanted: str) -> None:
    assert wanted == output.parameters(api.LogSubscriptionOptions(tail=tail))["tail"]


def test_options_are_the_engines_parameters() -> None:
    options = api.LogSubscriptionOptions(streams=[STDERR], follow=True)
    options.since.seconds, options.since.nanos = 5, 7
    found = output.parameters(options)
    wanted = {"follow": 1, "stdout": 0, "stderr": 1, "since": "5.000000007"}
    assert wanted == {key: found[key] for key in wanted}
