import asyncio
import os

import pytest

from swarmd.ipc import pipe
from swarmd.ipc.pipe import LineReader, LineWriter
from tests.fakes.child import until


class Heard:
    """A reader's lines, and its end."""

    def __init__(self, descriptor):
        self.lines: list[bytes] = []
        self.ends = 0
        self.changed = asyncio.Event()
        self.reader = LineReader(descriptor, self._line, self._end)

    def _line(self, line):
        self.lines.append(line)
        self.changed.set()

    def _end(self):
        self.ends += 1
        self.changed.set()

    async def wait(self, condition):
        while not condition(self):
            self.changed.clear()
            await self.changed.wait()


@pytest.fixture
async def ends():
    read, write = os.pipe()
    heard, writer = Heard(read), LineWriter(write)
    yield heard, writer
    heard.reader.close()
    writer.close()


async def test_lines_arrive_whole_and_in_order(ends):
    heard, writer = ends
    for line in (b"one\n", b"two\nthr", b"ee\n"):
        writer.write(line)
    await heard.wait(lambda h: len(h.lines) == 3)
    assert [b"one", b"two", b"three"] == heard.lines


async def test_end_of_file_is_told_once(ends):
    heard, writer = ends
    writer.close()
    await heard.wait(lambda h: h.ends)
    heard.reader.drain()
    assert 1 == heard.ends


async def test_last_words_are_heard_before_the_end(ends):
    heard, writer = ends
    writer.write(b"farewell\n")
    writer.close()
    heard.reader.drain()
    assert ([b"farewell"], 1) == (heard.lines, heard.ends)


async def test_a_closed_reader_hears_nothing_more(ends):
    heard, writer = ends
    writer.write(b"late\n")
    heard.reader.close()
    await asyncio.sleep(0)
    assert ([], 0) == (heard.lines, heard.ends)


async def test_more_than_the_pipe_holds_arrives_later(ends):
    heard, writer = ends
    lines = [b"%06d" % number * 100 for number in range(1000)]
    for line in lines:
        writer.write(line + b"\n")
    assert writer.is_behind
    await heard.wait(lambda h: len(h.lines) == len(lines))
    assert lines == heard.lines
    assert not writer.is_behind


async def test_a_line_that_is_too_long_is_passed_over(ends, monkeypatch):
    monkeypatch.setattr(pipe, "LONGEST_LINE", 10)
    heard, writer = ends
    for line in (b"short\n", b"x" * 1000, b"y" * 1000, b"\n", b"after\n"):
        writer.write(line)
        heard.reader.drain()
    assert [b"short", b"after"] == heard.lines


async def test_a_reader_that_never_reads_costs_bounded_memory(ends, monkeypatch):
    monkeypatch.setattr(pipe, "MOST_PENDING", 1 << 18)
    _, writer = ends
    for _ in range(1000):
        writer.write(b"x" * 1000)
    assert len(writer._pending) <= pipe.MOST_PENDING


async def test_a_reader_that_is_gone_is_no_error(ends):
    heard, writer = ends
    heard.reader.close()
    writer.write(b"anybody there?\n")
    writer.write(b"no?\n")
    assert not writer.is_behind


async def test_a_reader_that_goes_while_lines_wait_is_no_error(ends):
    heard, writer = ends
    writer.write(b"x" * 200_000)
    assert writer.is_behind
    heard.reader.close()
    await until(lambda: not writer.is_behind)


async def test_descriptors_stay_from_grandchildren(ends):
    heard, writer = ends
    assert not os.get_inheritable(heard.reader._descriptor)
    assert not os.get_inheritable(writer._descriptor)
