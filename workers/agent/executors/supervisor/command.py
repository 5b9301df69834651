"""Where on this host a task's command is."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from workers.agent.executors.errors import RejectedError


def find(argv: Sequence[str], search: str, directory: str) -> str:
    """The file that argv[0] names, on the task's own PATH or from its own directory.

    Raises RejectedError where there is none that can be executed.
    """
    if not argv:
        raise RejectedError("command: a host process needs a command or args")
    if not Path(directory).is_dir():
        raise RejectedError(f"dir: {directory} is not a directory on this host")
    name = argv[0]
    if "/" in name:
        return _checked(os.path.normpath(os.path.join(directory, name)), name)  # noqa: PTH118
    for place in search.split(":"):
        file = f"{place}/{name}"
        if place.startswith("/") and _why_not(file) == "":
            return file
    raise RejectedError(f"command: {name} is not found in {search}")


def _checked(file: str, name: str) -> str:
    if reason := _why_not(file):
        raise RejectedError(f"command: {name} {reason}")
    return file


def _why_not(file: str) -> str:
    try:
        mode = os.stat(file).st_mode  # noqa: PTH116 - called for each place of a PATH
    except OSError as error:
        return f"cannot be run: {error.strerror}"
    if not stat.S_ISREG(mode):
        return "is not a file"
    return "" if mode & 0o111 else "is not executable"
