"""The facts about SwarmKit beside a checkout: in ../shared, or where SWARMD_SHARED says."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def shared(name: str) -> Path:
    """A file or folder of those facts; the test is skipped, and says so, where it is not there."""
    base = Path(os.environ.get("SWARMD_SHARED", ROOT.parent / "shared"))
    path = base / name
    if not path.exists():
        pytest.skip(f"{path} is not there: SWARMD_SHARED names the folder of SwarmKit's facts")
    return path
