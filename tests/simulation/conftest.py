"""Some seeds, run once for all tests of this folder."""

import os
from unittest import mock

import pytest

from workers.simulation.many import Summary, run_many
from workers.simulation.scenario import Plan

SEEDS = 60


@pytest.fixture(scope="session")
def summary():
    """What came of them, in two processes whose sets have the order that a replay gives them."""
    total = Summary()
    with mock.patch.dict(os.environ, PYTHONHASHSEED="0"):
        for part in run_many(Plan(), seeds=SEEDS, jobs=2):
            total.add(part)
    return total
