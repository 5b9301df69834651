"""Output is read over the files that it was rotated into, line by line."""

import os
from pathlib import Path

import pytest

from swarmd import api
from swarmd.api import times
from tests.fakes.clock import START, FakeClock
from workers.agent.executors.supervisor import output
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


async def test_a_line_s_time_is_its_file_s(directory: Path) -> None:
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


async def test_follow_gives_the_last_line_when_the_task_ended(directory: Path) -> None:
    lines = await read(directory, follow=True)
    assert [Line(ERR, START + 3, b"e")] == [line for line in lines if line.stream == ERR]


async def test_a_file_that_is_rotated_away_is_read_to_its_end(tmp_path: Path) -> None:
    log = tmp_path / "stdout.log"
    log.write_text("1\n")
    reader = output._Reader(log, OUT, 0.0)
    assert [b"1\n"] == [line.data for line in reader.take()]
    with log.open("a") as file:
        file.write("2\n")
    log.rename(tmp_path / "stdout.log.1")
    log.write_text("3\n")
    assert [b"2\n"] == [line.data for line in reader.take()]
    assert [b"3\n"] == [line.data for line in reader.take()]
    assert [] == reader.take()
    reader.close()


async def test_a_very_long_line_comes_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "stdout.log").write_text("x" * 40_000 + "\n")
    lines = await read(tmp_path)
    assert b"x" * 40_000 + b"\n" == b"".join(line.data for line in lines)
    assert 1 < len(lines)


async def test_a_task_that_said_nothing_has_no_lines(tmp_path: Path) -> None:
    assert [] == await read(tmp_path, follow=True)
