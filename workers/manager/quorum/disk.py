"""Room for an etcd on this host's disk: told before it begins, as it would end without a word."""

import shutil
from pathlib import Path
from typing import Final

import humanize

from swarmd.errors import ResourceExhaustedError

_FIRST_BYTES: Final = 160 << 20  # two segments of its log beforehand, and its file
_COPIES: Final = 3  # of what is to be kept: in the log, in the file, in a snapshot


def check_room(directory: Path, stored: int = 0) -> None:
    """Raises ResourceExhaustedError where etcd cannot begin there with so many bytes to keep."""
    free, wanted = shutil.disk_usage(directory).free, _FIRST_BYTES + _COPIES * stored
    if free < wanted:
        has, takes = (humanize.naturalsize(one, binary=True) for one in (free, wanted))
        raise ResourceExhaustedError(
            f"the disk of {directory} has {has} left, and etcd takes {takes}: make room there"
        )
