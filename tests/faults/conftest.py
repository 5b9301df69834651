"""Real nodes for the tests here; each leaves nothing behind."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import RealNode


@pytest.fixture
def node() -> Iterator[RealNode]:
    """One that nothing of runs yet."""
    with RealNode() as made:
        yield made


@pytest.fixture
def mount() -> Iterator[Callable[[str], Path]]:
    """A function that mounts a tmpfs with these options, until the test is over."""
    mounted: list[Path] = []

    def tmpfs(options: str) -> Path:
        if os.getuid() != 0:
            pytest.skip("only root may mount a small tmpfs")
        place = Path(tempfile.mkdtemp(prefix="swd"))  # short: unix sockets live below it
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            place.rmdir()
            pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield tmpfs
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()
