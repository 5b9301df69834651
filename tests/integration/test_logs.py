"""swarmctl service logs and task logs against a real node."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.cluster import RealNode, wait
from tests.reference import ROOT

TALK = "echo out; echo err >&2; sleep 1000"


@pytest.fixture(scope="module")
def node() -> Iterator[RealNode]:
    with RealNode() as node:
        node.run()
        create(node, "web", TALK, replicas=2)
        yield node


def create(node: RealNode, name: str, script: str, *options: str, replicas: int = 1) -> None:
    words = ["--name", name, "--image", "host", "--replicas", str(replicas), *options]
    words += ["--update-monitor", "500ms"]  # how long the command watches it
    done = node.ctl(
        "service", "create", *words, "--command", "/bin/sh", "--args=-c", f"--args={script}"
    )
    assert done.returncode == 0, done.stderr


def logs(node: RealNode, *words: str) -> tuple[list[str], list[str]]:
    """The lines on stdout and on stderr of a command that ends well."""
    done = node.ctl(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


def test_each_line_says_whose_it_is_and_keeps_its_stream(node: RealNode):
    out, err = logs(node, "service", "logs", "web")
    pattern = r"web\.[12]\.[0-9a-z]{12}@\S+ +\| "
    assert ["out", "out"] == [re.sub(pattern, "", line) for line in out]
    assert ["err", "err"] == [re.sub(pattern, "", line) for line in err]


def test_raw_output_is_what_the_tasks_wrote(node: RealNode):
    assert (["out"], ["err"]) == logs(node, "task", "logs", "--raw", "web.1")


def test_one_stream_alone(node: RealNode):
    flags = ("--raw", "--stream", "stderr")
    assert ([], ["err", "err"]) == logs(node, "service", "log", *flags, "web")


def test_timestamps_stand_in_front(node: RealNode):
    out, _ = logs(node, "task", "logs", "--timestamps", "--raw", "web.1")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z out", out[0])


def test_json_has_an_object_a_line(node: RealNode):
    out, _ = logs(node, "service", "logs", "--format", "json", "web")
    facts = [json.loads(line) for line in out]
    assert [("stderr", "err\n")] * 2 + [("stdout", "out\n")] * 2 == sorted(
        (one["stream"], one["text"]) for one in facts
    )


def test_tail_is_counted_for_each_task(node: RealNode):
    create(node, "count", "seq 100; sleep 1000", replicas=2)
    out, _ = logs(node, "service", "logs", "--raw", "--tail", "2", "count")
    assert ["100", "100", "99", "99"] == sorted(out)


def test_what_came_before_since_is_left_out(node: RealNode):
    assert ([], []) == logs(node, "service", "logs", "--since", "2100-01-01T00:00:00Z", "web")
    out, _ = logs(node, "service", "logs", "--since", "1h", "web")
    assert 2 == len(out)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--tail", "few"), "neither a number nor all"),
        (("--since", "2026-13-45"), "is not a time"),
        (("--since", "tea time"), "is not a duration"),
    ],
)
def test_a_flag_that_says_nothing_is_named(node: RealNode, flags, sentence):
    done = node.ctl("service", "logs", *flags, "web")
    assert 2 == done.returncode
    assert sentence in done.stderr


def test_an_unknown_service_is_an_error(node: RealNode):
    done = node.ctl("service", "logs", "nobody")
    assert (1, "Error: service or task nobody not found\n") == (done.returncode, done.stderr)


def test_following_shows_later_lines_of_later_tasks_until_it_is_interrupted(node: RealNode):
    create(node, "slow", "echo begun; sleep 2; echo later; sleep 1000")
    words = [sys.executable, "-m", "swarmd.ctl", "service", "logs", "-f", "--no-task-ids", "slow"]
    with (node.root / "followed").open("w+b") as file:
        following = subprocess.Popen(words, env=node.environment, cwd=ROOT, stdout=file)
        seen = node.root / "followed"
        wait(lambda: "later" in seen.read_text(), "the later line")
        assert 0 == node.ctl("service", "update", "--replicas", "2", "slow").returncode
        wait(lambda: seen.read_text().count("later") == 2, "the line of a later task")
        following.send_signal(signal.SIGINT)
        assert 130 == following.wait(10)
    hosts = re.sub(r"@\S+", "", seen.read_text()).splitlines()
    assert ["slow.1 | begun", "slow.1 | later", "slow.2 | begun", "slow.2 | later"] == sorted(hosts)


def test_a_reader_that_goes_away_ends_the_command(node: RealNode):
    create(node, "endless", "while :; do echo line; done")
    words = f"{sys.executable} -m swarmd.ctl service logs -f endless | head -n 3"
    shown = subprocess.check_output(words, shell=True, env=node.environment, cwd=ROOT, timeout=30)
    assert 3 == len(shown.splitlines())
    assert 0 == node.ctl("service", "rm", "endless").returncode


def test_a_subscriber_that_stops_reading_costs_little_and_holds_nobody_up(node: RealNode):
    create(node, "flood", "while :; do seq 1000; done", "--log-opt", "max-size=50m")
    words = [sys.executable, "-m", "swarmd.ctl", "service", "logs", "-f", "flood"]
    with subprocess.Popen(words, env=node.environment, cwd=ROOT, stdout=subprocess.PIPE) as stuck:
        assert stuck.stdout is not None
        stuck.stdout.read(1)
        time.sleep(1)  # it fills every queue on its way
        before = memory(node)
        time.sleep(3)
        grown = [now - then for now, then in zip(memory(node), before, strict=True)]
        assert max(grown) < 24 << 20
        assert (["out"], ["err"]) == logs(node, "task", "logs", "--raw", "web.1")
        stuck.kill()
    assert 0 == node.ctl("service", "rm", "flood").returncode


def memory(node: RealNode) -> list[int]:
    found = []
    for name in ("agent", "manager"):
        pages = Path(f"/proc/{node.worker_pid(name)}/statm").read_text().split()[1]
        found.append(int(pages) * os.sysconf("SC_PAGE_SIZE"))
    return found


@pytest.mark.parametrize(("no_color", "has_colour"), [("", True), ("1", False)])
def test_tasks_have_colours_on_a_terminal_but_not_with_no_color(
    node: RealNode, no_color: str, has_colour: bool
):
    environment = {k: v for k, v in node.environment.items() if k != "NO_COLOR"}
    environment |= {"TERM": "xterm-256color"} | ({"NO_COLOR": no_color} if no_color else {})
    command = [sys.executable, ["-m", "swarmd.ctl", "service", "logs", "web"]]
    terminal = pexpect.spawn(*command, env=environment, cwd=str(ROOT), timeout=20)
    text = terminal.read().decode()
    colours = set(re.findall(r"\x1b\[(\d+)m", text)) - {"0"}
    assert (2 if has_colour else 0) == len(colours)


def test_an_agent_that_hangs_is_named_and_logs_are_there_again_soon(node: RealNode):
    agent = node.worker_pid("agent")
    os.kill(agent, signal.SIGSTOP)
    begun = time.monotonic()
    done = node.ctl("service", "logs", "web")
    assert time.monotonic() - begun < 20
    assert 1 == done.returncode
    assert re.fullmatch(r"Error: the log is incomplete: node \S+ \(\w+\) \w+\n", done.stderr)
    node.wait_ready(without=agent)
    deadline = time.monotonic() + 20
    while (done := node.ctl("service", "logs", "web")).returncode:
        assert time.monotonic() < deadline, done.stderr + node.log
    out, err = logs(node, "service", "logs", "--raw", "web")
    assert (["out", "out"], ["err", "err"]) == (out, err)
