"""swarmctl against a real node, as people use it."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.cluster import RealNode

pytestmark = pytest.mark.timeout(180)
SOON = ("--update-monitor", "1s")  # how long it is watched; five seconds is what users have
SLEEP = ("--image", "host", "--command", "sleep", "--args", "1000", *SOON)


@pytest.fixture(scope="module")
def node() -> Iterator[RealNode]:
    with RealNode() as one:
        one.run()
        one.wait_ready()
        yield one


def said(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert 0 == done.returncode, done.stderr
    return done.stdout.splitlines()


def refused(done: "subprocess.CompletedProcess[str]") -> str:
    assert 1 == done.returncode
    (line,) = done.stderr.splitlines()
    return line


def columns(line: str) -> list[str]:
    return [cell for cell in line.split("  ") if cell]


def test_a_service_is_created_shown_updated_and_removed(node: RealNode) -> None:
    (service_id,) = said(node.ctl("service", "create", "--name", "web", *SLEEP, "--replicas", "2"))
    listed = said(node.ctl("service", "ls"))
    assert [service_id, "web", "replicated", "2/2", "host"] == [
        c.strip() for c in columns(listed[1])
    ]
    assert [service_id] == said(node.ctl("svc", "ls", "-q"))
    page = said(node.ctl("service", "inspect", "web"))
    assert f"ID       : {service_id}" == page[0]
    assert 2 == sum("RUNNING" in line and "web." in line for line in page)
    said(node.ctl("service", "update", "web", "--replicas", "3", "--env", "A=1"))
    tasks = json.loads("\n".join(said(node.ctl("task", "ls", "--format", "proto"))))
    assert {"1", "2", "3"} == {task["slot"] for task in tasks}
    assert {"A=1"} == {task["spec"]["container"]["env"][0] for task in tasks}
    assert [service_id] == said(node.ctl("service", "rm", "web"))


def test_names_and_id_prefixes_serve_wherever_an_id_does(node: RealNode) -> None:
    made = [
        said(node.ctl("service", "create", "--name", name, *SLEEP, "--replicas", "0", "-d"))[0]
        for name in ("twin-1", "twin-2")
    ]
    for wanted in ("twin-1", made[0], made[0][:12]):
        assert made[0] in said(node.ctl("service", "inspect", wanted))[0]
    node_id = said(node.ctl("node", "ls", "-q"))[0]
    assert node_id in said(node.ctl("node", "inspect", node_id[:6]))[0]
    assert "service nobody not found" in refused(node.ctl("service", "inspect", "nobody"))
    said(node.ctl("service", "rm", *made))


def test_a_service_that_cannot_run_fails_with_the_reason(node: RealNode) -> None:
    done = node.ctl("service", "create", "--name", "bad", "--image", "host", "--command", "nosuch")
    assert "nosuch is not found" in refused(done)
    said(node.ctl("service", "rm", "bad"))


def test_a_service_that_fits_nowhere_says_why(node: RealNode) -> None:
    nowhere = ("--constraint", "node.labels.zone==moon", "--timeout", "1")
    done = node.ctl("service", "create", "--name", "lost", *SLEEP, *nowhere)
    assert "scheduling constraints not satisfied on 1 node" in refused(done)
    said(node.ctl("service", "rm", "lost"))


def test_a_paused_update_exits_with_its_message(node: RealNode) -> None:
    said(node.ctl("service", "create", "--name", "up", *SLEEP, "-d"))
    broken = ("--command", "false", "--update-monitor", "1s", "--restart-condition", "none")
    assert "update paused" in refused(node.ctl("service", "update", "up", *broken))
    said(node.ctl("service", "rm", "up"))


def test_services_are_scaled_rolled_back_and_their_history_is_shown(node: RealNode) -> None:
    for name in ("front", "back"):
        said(node.ctl("service", "create", "-d", *SOON, "--name", name, "host", "sleep", "1000"))
    scaled = said(node.ctl("service", "scale", "front=2", "back=2"))
    assert ["front scaled to 2", "back scaled to 2"] == scaled
    said(node.ctl("service", "rollback", "front"))
    said(node.ctl("service", "update", "--force", "--update-monitor", "1s", "front"))
    names = [line[14:].split("  ")[0] for line in said(node.ctl("service", "ps", "front"))]
    assert ["NAME", "front.1", r" \_ front.1"] == [name.rstrip() for name in names[:3]]
    running = ("--filter", "desired-state=running", "--format", "{{.Name}} {{.CurrentState}}")
    shown = said(node.ctl("service", "ps", *running, "front", "back"))
    assert ["back.1", "back.2", "front.1"] == [line.split()[0] for line in shown]
    here = said(node.ctl("node", "ps", "-q", "self"))
    assert set(said(node.ctl("service", "ps", "-q", "front"))) <= set(here)
    said(node.ctl("service", "rm", "front", "back"))


def test_jobs_run_to_their_end_and_say_how_far_they_are(node: RealNode) -> None:
    replicated = ("--mode", "replicated-job", "--replicas", "5", "--max-concurrent", "2")
    said(node.ctl("service", "create", "--name", "five", *replicated, "host", "true"))
    said(node.ctl("service", "create", "--name", "each", "--mode", "global-job", "host", "true"))
    listed = said(node.ctl("service", "ls", "--format", "{{.Name}} {{.Replicas}}"))
    assert {"five 0/2 (5/5 completed)", "each 0/0 (1/1 completed)"} <= set(listed)
    once = ("--mode", "replicated-job", "--restart-condition", "none")
    done = node.ctl("service", "create", "--name", "bad", *once, "host", "false")
    assert "non-zero exit (1)" in refused(done)
    said(node.ctl("service", "rm", "five", "each", "bad"))


def test_a_wrong_word_is_answered_with_the_one_that_was_meant(node: RealNode) -> None:
    for words, hint in (
        (("service", "sacle", "web=2"), "Did you mean 'scale'?"),
        (("service", "ls", "--fitler", "name=web"), "Did you mean '--filter'?"),
        (("service", "ls", "--filter", "colour=red"), "with KEY one of id, label, mode or name"),
        (("service", "ls", "--format", "{{.Nmae}}"), "fields: ID, Name, Mode"),
    ):
        done = node.ctl(*words)
        assert (2, "") == (done.returncode, done.stdout)
        assert hint in done.stderr.splitlines()[-1]


def test_names_are_completed(node: RealNode) -> None:
    said(node.ctl("service", "create", "-d", "--name", "webshop", *SLEEP, "--replicas", "0"))
    node.environment |= {
        "_SWARMCTL_COMPLETE": "bash_complete",
        "COMP_WORDS": "swarmctl service inspect we",
        "COMP_CWORD": "3",
    }
    try:
        assert ["plain,webshop"] == said(node.ctl())
    finally:
        for name in ("_SWARMCTL_COMPLETE", "COMP_WORDS", "COMP_CWORD"):
            del node.environment[name]
    said(node.ctl("service", "rm", "webshop"))


def test_a_node_is_labelled_drained_and_activated(node: RealNode) -> None:
    name = said(node.ctl("node", "ls", "-q"))[0]
    said(node.ctl("node", "update", name, "--label", "zone=a"))
    assert "zone=a" in "\n".join(said(node.ctl("node", "inspect", name)))
    said(node.ctl("node", "drain", name))
    assert "Drain" in said(node.ctl("node", "ls"))[1]
    assert "already drained" in refused(node.ctl("node", "drain", name))
    said(node.ctl("node", "activate", name))
    assert "last manager" in refused(node.ctl("node", "demote", name))


def test_a_cluster_is_shown_and_changed(node: RealNode) -> None:
    before = said(node.ctl("cluster", "inspect", "default"))
    said(node.ctl("cluster", "update", "default", "--heartbeatperiod", "2s", "--taskhistory", "3"))
    said(node.ctl("cluster", "update", "default", "--rotate-join-token", "worker"))
    after = said(node.ctl("cluster", "inspect"))
    assert "  Task history entries : 3" in after
    assert "  Dispatcher heartbeat period : 2s" in after
    tokens = [[line for line in page if "SWMTKN-1-" in line] for page in (before, after)]
    assert tokens[0][0] != tokens[1][0]
    assert tokens[0][1] == tokens[1][1]


def test_there_is_no_colour_in_a_pipe(node: RealNode) -> None:
    assert "\033" not in "".join(said(node.ctl("node", "ls")))


def test_no_manager_is_one_clear_line(node: RealNode) -> None:
    done = node.ctl("--socket", "/nowhere/swarmd.sock", "node", "ls")
    assert "no swarmd answers at /nowhere/swarmd.sock: is it running?" in refused(done)


def test_shells_get_their_completion(node: RealNode) -> None:
    assert "_SWARMCTL_COMPLETE" in "\n".join(said(node.ctl("completion", "bash")))
