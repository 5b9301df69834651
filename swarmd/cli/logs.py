"""What swarmd and its workers logged under supervisord: the file, its end, and what follows."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from swarmd.cli.options import CONFIG_OPTION, STATE_DIR_OPTION
from swarmd.errors import ExitStatus
from swarmd.state_dir import StateDir

_POLL_SECONDS: Final = 0.05


@click.command()
@CONFIG_OPTION
@STATE_DIR_OPTION
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=100, show_default=True)
@click.option("--worker", type=click.Choice(("manager", "agent")), help="One worker's lines only.")
def logs(
    config: Path | None,  # noqa: ARG001
    state_dir: Path,
    follow: bool,
    lines: int,
    worker: str | None,
) -> None:
    """Show what swarmd and its workers logged under supervisord."""
    path = log_path(StateDir(state_dir))
    if not path.is_file():
        message = f"there is no {path}: a swarmd run in the foreground logs to its own terminal"
        raise click.ClickException(message)
    wanted = _of_worker(worker)
    shown = [line for line in last_lines(path, lines if worker is None else -1) if wanted(line)]
    for line in shown[len(shown) - min(lines, len(shown)) :]:
        click.echo(line)
    if not follow:
        return
    try:
        for line in filter(wanted, _following(path)):
            click.echo(line)
    except KeyboardInterrupt:
        raise SystemExit(ExitStatus.INTERRUPTED) from None


def log_path(state_dir: StateDir) -> Path:
    return state_dir.root / "log" / "swarmd.log"


def _of_worker(worker: str | None) -> Callable[[str], bool]:
    """Lines as swarmd/logs.py writes them: the process is the third word, or a JSON field."""
    if worker is None:
        return lambda _: True
    field = f'"process": "{worker}"'
    return lambda line: line.split(maxsplit=3)[2:3] == [worker] or field in line


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file, or all of them for -1; none when there is no file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return lines if count < 0 else lines[len(lines) - min(count, len(lines)) :]


def _following(path: Path) -> Iterator[str]:
    """Lines as they are added, over supervisord's rotations; until Ctrl+C."""
    file = path.open(encoding="utf-8", errors="replace")
    file.seek(0, os.SEEK_END)
    part = ""
    while True:
        piece = file.readline()
        if piece.endswith("\n"):
            yield (part + piece).rstrip("\n")
            part = ""
        elif piece:
            part += piece
        elif _was_rotated(path, file.fileno()):
            file.close()
            file = path.open(encoding="utf-8", errors="replace")
        else:
            time.sleep(_POLL_SECONDS)


def _was_rotated(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino != os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False
