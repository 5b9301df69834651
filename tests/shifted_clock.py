"""A wall clock that a test sets, for the processes of one node: as if its host's clock were set.

    clock = ShiftedClock(directory)
    node.environment |= clock.environment
    clock.shift(3600)                      # from now on it is an hour later there

The C library's functions that tell the wall time are overlaid in those processes; etcd, which asks
the kernel itself, and the time that only goes forward stay as they are. libfaketime, which does the
same and more, has Python's time.sleep fail.
"""

import shutil
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("shifted_clock.c")


def why_not() -> str:
    """What this host lacks; empty where nothing."""
    return "" if shutil.which("cc") else "not installed: gcc"


class ShiftedClock:
    """It begins as the host's own."""

    def __init__(self, directory: Path) -> None:
        library = directory / "shifted_clock.so"
        if not library.exists():
            command = ["cc", "-O1", "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"]
            subprocess.run(command, check=True, timeout=60)
        number = len(list(directory.glob("shift*.now")))
        self._file = directory / f"shift{number}.now"
        self._file.write_bytes(bytes(8))
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_SHIFT_FILE": str(self._file)}

    def shift(self, seconds: int) -> None:
        """It is so much later there than it is."""
        with self._file.open("r+b") as file:
            file.write(seconds.to_bytes(8, "little", signed=True))
