"""Output is read over the files that it was rotated into, line by line."""

import os
from pathlib import Path

import pytest
from supervisor.loggers import LogRecord

from swarmd import api
from swarmd.api import times
from tests.fakes.clock import START, FakeClock
from workers.agent.executors.supervisor import line_times, output, plugin_output
from workers.agent.executors.supervisor.output import Line

OUT, ERR = api.LogStream.LOG_STREAM_STDOUT, api.LogStream.LOG_STREAM_STDERR


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    files = {
        "stdout.log.2": "1\n2",
        "stdout.log.1": "\n3\n",
        "stdout.log": "4\n",
        "stderr.log": "e",
    }
    for age, (name, text) in enumerate(files.items()):
        (tmp_path / name).write_text(text)
        os.utime(tmp_path / name, (START + age, START + age))
    return tmp_path


async def ended() -> bool:
    return True


async def read(directory: Path, **options: object) -> list[Line]:
    asked = api.LogSubscriptionOptions(**options)
    return [line async for line in output.read(directory, asked, FakeClock(), ended)]


async def test_lines_run_on_over_the_files_oldest_first(directory: Path) -> None:
    lines = await read(directory, streams=[OUT])
    assert [b"1\n", b"2\n", b"3\n", b"4\n"] == [line.data for line in lines]


async def test_without_marks_a_line_s_time_is_its_file_s(directory: Path) -> None:
    assert [START, START + 1, START + 1, START + 2] == [
        line.time for line in await read(directory, streams=[OUT])
    ]


@pytest.mark.parametrize(
    ("tail", "expected"),
    [(0, "1234"), (1, "234"), (9, ""), (-1, ""), (-2, "4"), (-3, "34"), (-99, "1234")],
)
async def test_tail_is_swarmkit_s(directory: Path, tail: int, expected: str) -> None:
    lines = await read(directory, streams=[OUT], tail=tail)
    assert expected == "".join(line.data.decode().strip() for line in lines)


async def test_since_leaves_out_files_that_are_older(directory: Path) -> None:
    lines = await read(directory, streams=[OUT], since=times.timestamp(START + 2))
    assert [b"4\n"] == [line.data for line in lines]


def log_with_times(file: Path, *chunks: tuple[float, str], backups: int = 1) -> None:
    """What a plugin writes when a task prints these at these times."""
    with pytest.MonkeyPatch.context() as patch:
        handler = plugin_output.TimedFile(str(file), "ab", 10, backups)
        for moment, text in chunks:
            patch.setattr(plugin_output.time, "time", lambda moment=moment: moment)
            handler.emit(LogRecord(20, text))
        handler.close()


async def test_marks_tell_when_a_line_was_printed(tmp_path: Path) -> None:
    chunks = [(10.0, "1\n2\n"), (11.5, "3"), (12.0, "3\n4\n"), (13.0, "5\n"), (14.0, "6\n")]
    log_with_times(tmp_path / "stdout.log", *chunks)
    assert (tmp_path / "stdout.log.1.times").exists()
    lines = await read(tmp_path)
    assert [10.0, 10.0, 11.5, 12.0, 13.0, 14.0] == [line.time for line in lines]
    later = await read(tmp_path, since=times.timestamp(12.0))
    assert [b"4\n", b"5\n", b"6\n"] == [line.data for line in later]


@pytest.mark.parametrize("backups", [0, 1])
async def test_marks_go_with_their_log(tmp_path: Path, backups: int) -> None:
    chunks = [(float(second), "12345678\n") for second in range(1, 10)]
    log_with_times(tmp_path / "stdout.log", *chunks, backups=backups)
    lines = await read(tmp_path)
    assert [(9.0, b"12345678\n")] == [(line.time, line.data) for line in lines[-1:]]
    kept = 1 + backups
    assert 2 * kept == len(list(tmp_path.iterdir()))


async def test_streams_are_told_in_the_order_of_their_times(tmp_path: Path) -> None:
    log_with_times(tmp_path / "stdout.log", (1.0, "a\n"), (3.0, "c\n"))
    log_with_times(tmp_path / "stderr.log", (2.0, "b\n"), (4.0, "d\n"))
    lines = await read(tmp_path)
    assert [b"a\n", b"b\n", b"c\n", b"d\n"] == [line.data for line in lines]
    last = await read(tmp_path, tail=-3)
    assert [b"c\n", b"d\n"] == [line.data for line in last]


async def test_marks_take_little_room(tmp_path: Path) -> None:
    marks = line_times.Marks(str(tmp_path / "log"))
    for number in range(100_000):
        marks.note(number, float(number))
    marks.close()
    assert (tmp_path / "log.times").stat().st_size < 100_000 + (65 << 10)


async def test_a_last_line_that_is_not_ended_is_shown(tmp_path: Path) -> None:
    (tmp_path / "stdout.log").write_text("1\nprompt> ")
    assert [b"1\n", b"prompt> "] == [line.data for line in await read(tmp_path)]


async def test_follow_gives_the_last_line_when_the_task_ended(directory: Path) -> None:
    lines = await read(directory, follow=True)
    assert [Line(ERR, START + 3, b"e")] == [line for line in lines if line.stream == ERR]


async def test_a_file_that_is_rotated_away_is_read_to_its_end(tmp_path: Path) -> None:
    log = tmp_path / "stdout.log"
    log.write_text("1\n")
    reader = output._Reader(log, OUT, 0.0)

    def taken() -> list[bytes]:
        return [line.data for line in output._take([reader])]

    assert [b"1\n"] == taken()
    with log.open("a") as file:
        file.write("2\n")
    log.rename(tmp_path / "stdout.log.1")
    log.write_text("3\n")
    assert [b"2\n"] == taken()
    assert [b"3\n"] == taken()
    assert [] == taken()
    reader.close()


async def test_a_very_long_line_comes_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "stdout.log").write_text("x" * 40_000 + "\n")
    lines = await read(tmp_path)
    assert b"x" * 40_000 + b"\n" == b"".join(line.data for line in lines)
    assert 1 < len(lines)


async def test_a_task_that_said_nothing_has_no_lines(tmp_path: Path) -> None:
    assert [] == await read(tmp_path, follow=True)
