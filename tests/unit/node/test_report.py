import asyncio
import json
from dataclasses import replace
from random import Random

import pytest

from swarmd.node.phases import NodePhase
from swarmd.node.plan import NodeFacts
from swarmd.node.report import describe, keep_report
from swarmd.supervision.phases import Phase
from swarmd.supervision.supervisor import WorkerState

FACTS = NodeFacts(role="manager", node_id="n", cluster_id="c", remote_addr="a:1")
AGENT = WorkerState("agent", Phase.RUNNING, pid=7, since=1.5, restarts=2, last_exit="exit status 1")
MANAGER = WorkerState("manager", Phase.RUNNING, pid=8, facts={"leader": "true"})
DOWN = WorkerState("manager", Phase.BACKOFF, reason="no luck")


@pytest.mark.parametrize(
    ("phase", "workers", "told"),
    [
        (NodePhase.STARTING, [DOWN, AGENT], ("starting", False, "waits for manager")),
        (NodePhase.READY, [MANAGER, AGENT], ("ready", True, "")),
        (NodePhase.READY, [DOWN, AGENT], ("degraded", False, "waits for manager")),
        (NodePhase.STOPPING, [MANAGER, AGENT], ("stopping", False, "")),
        (NodePhase.CLOSED, [], ("stopped", False, "")),
    ],
)
def test_the_report_says_whether_the_node_is_ready_now(phase, workers, told):
    facts = describe(FACTS, phase, workers, None)
    assert told == (facts["phase"], facts["ready"], facts["reason"])


@pytest.mark.parametrize("phase", [NodePhase.STARTING, NodePhase.READY])
def test_the_report_says_that_the_node_is_locked(phase):
    locked = replace(FACTS, locked="LOCKED: unlock it")
    facts = describe(locked, phase, [MANAGER, AGENT], None)
    assert ("locked", False) == (facts["phase"], facts["ready"])
    assert "LOCKED: unlock it" == facts["reason"]


def test_the_report_says_why_the_node_ended():
    facts = describe(FACTS, NodePhase.CLOSED, [], OSError("no luck"))
    assert "no luck" == facts["reason"]


def test_the_report_has_a_row_for_each_process():
    facts = describe(FACTS, NodePhase.READY, [AGENT], None)
    assert [
        {
            "name": "agent",
            "state": "RUNNING",
            "pid": 7,
            "since": 1.5,
            "restarts": 2,
            "last_exit": "exit status 1",
            "reason": "",
            "facts": {},
        }
    ] == facts["processes"]


async def test_the_file_is_true_as_the_block_is_left(tmp_path):
    facts = {"turn": 0}
    async with keep_report(tmp_path / "node.json", lambda: facts, Random(0)) as report:
        for _ in range(100):
            facts["turn"] += 1
            report.change()
    assert {"turn": 100} == json.loads((tmp_path / "node.json").read_bytes())


async def test_a_report_that_cannot_be_written_is_logged_once(tmp_path, caplog):
    async with keep_report(tmp_path / "missing" / "node.json", dict, Random(0)) as report:
        report.change()
    assert ["cannot write the report"] == [record.message for record in caplog.records]


async def test_a_report_that_could_not_be_written_is_there_as_soon_as_it_can(tmp_path, caplog):
    path = tmp_path / "run" / "node.json"
    async with keep_report(path, dict, Random(0)), asyncio.timeout(10):
        while not caplog.records:  # noqa: ASYNC110  no event tells of a thread's log line
            await asyncio.sleep(0.01)
        path.parent.mkdir()
        while not path.exists():  # noqa: ASYNC110  … nor of a file
            await asyncio.sleep(0.01)
