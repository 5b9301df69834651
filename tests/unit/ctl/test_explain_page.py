"""What `swarmctl explain` says of the manager's answers."""

import pytest

from swarmd import api
from swarmd.api import times
from swarmd.api.protos.explain_pb2 import ExplainNodeResponse, ExplainServiceResponse, Placement
from swarmd.api.protos.governor_pb2 import Breaker
from swarmd.api.protos.journal_pb2 import JournalEntry
from swarmd.ctl import explain_page, held
from tests import builders

State = api.TaskState
HELD = "held: 5 tasks in 3 slots on 1 node ended alike (exit code 3); next try in 9 s"


def task(state=State.PENDING, desired=State.RUNNING, **labels: str) -> api.Task:
    made = builders.task(state=state, desired_state=desired)
    made.annotations.labels.update(
        {f"swarmd.restart.{name}": text for name, text in labels.items()}
    )
    made.meta.created_at.CopyFrom(times.timestamp(1000))
    return made


SENTENCES = [
    (task(State.RUNNING), ""),
    (task(State.FAILED), ""),
    (task(desired=State.SHUTDOWN), "it is to run no more"),
    (task(State.NEW), "its ports and networks are not allocated yet"),
    (task(), "a node fits: it is placed with the scheduler's next turn"),
    (task(State.PREPARING), "its node brings it up"),
    (
        task(State.READY, State.READY, delay="30"),
        "it starts in 20 s, by its service's restart policy",
    ),
    (
        task(State.READY, State.READY, delay="5"),
        "it starts when the task before it in its slot has stopped",
    ),
]


@pytest.mark.parametrize(("one", "why"), SENTENCES, ids=[str(n) for n in range(len(SENTENCES))])
def test_each_state_has_its_sentence(one, why):
    assert why == explain_page.why_now(one, Placement(), "", now=1010)


def test_a_task_that_waits_says_what_holds_it():
    refused = Placement(reason="unsupported platform on 1 node")
    assert "unsupported platform on 1 node" == explain_page.why_now(task(), refused, "", now=1010)
    waiting = task(State.READY, State.READY, delay="30")
    assert HELD == explain_page.why_now(waiting, Placement(), HELD, now=1010)


def test_the_table_has_a_column_for_each_filter_and_the_reasons_last():
    placement = Placement(node_count=3)
    for number, passes in enumerate((True, False)):
        node = placement.nodes.add(hostname=f"n{number}", fits=passes)
        node.filters.add(filter="ready", passes=True)
        node.filters.add(
            filter="constraint", passes=passes, detail="" if passes else "zone==a (is b)"
        )
    columns, rows = explain_page.verdict_table(placement)
    assert ["node", "ready", "constraint", "why not"] == columns
    assert ["n1", "ok", "no", "zone==a (is b)"] == [str(cell) for cell in rows[1]]
    assert "… and 1 more nodes" == explain_page.left_out(placement)


def test_decisions_name_one_task_and_count_many():
    one = JournalEntry(what="restarted", service_name="web", task_count=1)
    one.tasks.add(id="a" * 25, slot=2, node_id="n1", successor_id="b" * 25)
    many = JournalEntry(what="placed", service_name="web", task_count=900)
    none = JournalEntry(what="drained", node_id="n1")
    rows = explain_page.journal_rows([one, many, none], {"n1": "host-1"})
    expected = [f"web.2 {'a' * 12} on host-1, then {'b' * 12}", "900 tasks of web", "host-1"]
    assert expected == [row[2] for row in rows]


def test_a_service_counts_what_is_and_what_was():
    found = ExplainServiceResponse()
    for state, desired, count in (
        (State.PENDING, State.RUNNING, 2),
        (State.RUNNING, State.RUNNING, 3),
        (State.FAILED, State.SHUTDOWN, 4),
    ):
        found.counts.add(state=state, desired_state=desired, count=count)
    page = explain_page.service_page(builders.service("web"), found, HELD)
    assert "2 PENDING (to be RUNNING), 3 RUNNING, 4 FAILED (past)" == page["Tasks"]
    assert HELD == f"held: {page['Held']}"


def test_a_full_node_says_so():
    found = ExplainNodeResponse(nano_cpus=4 * 10**9, free_nano_cpus=0, closed="paused")
    page = explain_page.node_page(builders.node("n1"), found)
    assert "4 of 4, full" == page["Reserved"]["CPU"]
    assert "none: paused" == page["New Tasks"]


def test_only_what_is_held_has_a_sentence():
    found = [
        Breaker(id="a", state=Breaker.State.CLOSED),
        Breaker(
            id="b",
            state=Breaker.State.PROBING,
            failures=5,
            slots=1,
            nodes=1,
            reason="exit code 3",
            probe_task_id="t",
        ),
    ]
    expected = "held: 5 tasks in 1 slot on 1 node ended alike (exit code 3); trying one task, t"
    assert {"b": expected} == held.sentences(found, 0)
