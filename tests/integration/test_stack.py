"""swarmctl stack against a real node: compose files of host services."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmd import api
from tests.cluster import RealNode, wait

pytestmark = pytest.mark.timeout(300)
BASE = """
x-quick: &quick {monitor: 100ms}
services:
  web:
    image: host
    command: [sh, -c, 'cat "$$CREDENTIALS_DIRECTORY/key"; echo "$$GREETING"; exec sleep 1000']
    environment: {GREETING: "${GREETING:-hello}"}
    secrets: [key]
    configs: [site]
    networks: [back]
    ports: ["18080:80"]
    deploy: {replicas: 2, update_config: *quick, restart_policy: {delay: 100ms}}
  worker:
    image: host
    build: .
    command: sleep 1000
    deploy: {update_config: *quick}
secrets: {key: {file: ./key.txt}}
configs: {site: {file: ./site.txt}}
networks: {back: {}}
"""
ONE_PORT = "services: {web: {deploy: {replicas: 1}}}"  # two tasks of a node cannot share a port
JSON = ("--format", "json")
LIVE = ("--filter", "desired-state=running")


@pytest.fixture
def node() -> Iterator[RealNode]:
    with RealNode() as one:
        one.run()
        yield one


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "key.txt").write_text("a secret\n")
    (tmp_path / "site.txt").write_text("a site\n")
    (tmp_path / "base.yml").write_text(BASE)
    (tmp_path / "one.yml").write_text(ONE_PORT)
    return tmp_path


def said(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert 0 == done.returncode, done.stderr
    return done.stdout.splitlines()


def stack(node: RealNode, *words: str) -> "subprocess.CompletedProcess[str]":
    return node.ctl("stack", *words)


def deploy(node: RealNode, *words: str) -> "subprocess.CompletedProcess[str]":
    return stack(node, "deploy", *words)


def refused(done: "subprocess.CompletedProcess[str]") -> str:
    assert 1 == done.returncode
    return done.stderr.splitlines()[-1]


def tasks(node: RealNode, service: str) -> set[str]:
    """The live tasks of a service, by id."""
    wanted = api.TaskState.RUNNING
    return {
        one.id
        for one in node.tasks()
        if one.service_annotations.name == service and one.desired_state == wanted
    }


def test_a_stack_is_deployed_left_alone_changed_pruned_and_removed(node: RealNode, files: Path):
    both = ("-c", f"{files}/base.yml", "-c", f"{files}/one.yml", "shop")
    done = deploy(node, *both)
    assert [
        "Creating network shop_back",
        "Creating secret shop_key",
        "Creating config shop_site",
        "Creating service shop_web",
        "Creating service shop_worker",
    ] == said(done)
    assert ["build (worker)", "shop_back", "ports of web"] == [
        next(text for text in ("build (worker)", "shop_back", "ports of web") if text in line)
        for line in done.stderr.splitlines()
    ]
    first = {name: tasks(node, f"shop_{name}") for name in ("web", "worker")}
    assert [1, 1] == [len(ids) for ids in first.values()]
    logged = said(node.ctl("service", "logs", "--raw", "shop_web"))
    assert ["a secret", "hello"] == logged

    again = said(deploy(node, *both))
    assert all(line.startswith("Unchanged service") for line in again)
    assert first == {name: tasks(node, f"shop_{name}") for name in first}

    (files / "more.yml").write_text("services: {web: {environment: {GREETING: bye}}}")
    changed = said(deploy(node, *both[:-1], "-c", f"{files}/more.yml", "shop"))
    assert ["Updating", "Unchanged"] == [line.split()[0] for line in changed]
    assert first["worker"] == tasks(node, "shop_worker")
    assert first["web"].isdisjoint(tasks(node, "shop_web"))
    names = [json.loads(one)["Name"] for one in said(stack(node, "services", "shop", *JSON))]
    assert ["shop_web", "shop_worker"] == names
    shown = [json.loads(one)["Name"] for one in said(stack(node, "ps", "shop", *JSON, *LIVE))]
    assert ["shop_web.1", "shop_worker.1"] == shown

    (files / "less.yml").write_text("services: {worker: {image: host, command: sleep 1000}}")
    less = said(deploy(node, "-c", f"{files}/less.yml", "--prune", "shop"))
    assert "Removing service shop_web" in less
    assert [{"Name": "shop", "Services": "1"}] == [
        json.loads(line) for line in said(stack(node, "ls", *JSON))
    ]
    done = stack(node, "rm", "--detach=false", "shop", "nothing")
    assert [
        "Removing service shop_worker",
        "Removing secret shop_key",
        "Removing config shop_site",
        "Removing network shop_back",
    ] == said(done)
    assert ["Nothing found in stack: nothing"] == done.stderr.splitlines()
    assert all(one.status.state > api.TaskState.RUNNING for one in node.tasks())
    wait(lambda: not node.tasks(), "the end of what was known of the tasks")


def test_what_goes_wrong_is_one_line_with_the_name(node: RealNode, files: Path):
    path = files / "f.yml"

    def said_of(text: str, *flags: str) -> str:
        path.write_text(text)
        return refused(deploy(node, "-c", str(path), *flags, "bad"))

    quick = "deploy: {update_config: {monitor: 100ms}}"
    assert f"{path}:1: services.web: unknown key 'imag'" in said_of("services: {web: {imag: host}}")
    nowhere = "services: {web: {image: host, secrets: [s]}}\nsecrets: {s: {external: true}}"
    assert "external secret not found: s; create it first" in said_of(nowhere)
    broken = f"services: {{web: {{image: host, command: nosuch, {quick}}}}}"
    assert said_of(broken).startswith("bad_web: service failed: ")
    unsound = (
        "services: {web: {image: host, command: sleep 1, deploy: {placement: {constraints: [x]}}}}"
    )
    assert "failed to update service bad_web: " in said_of(unsound)
    site = "services: {web: {image: host, command: sleep 1000}}\nconfigs: {c: {file: site.txt}}"
    path.write_text(site)
    said(deploy(node, "-c", str(path), "-d", "bad"))
    (files / "site.txt").write_text("another site\n")
    assert "give the new one another name (name: bad_c_2) and deploy again" in said_of(site)
    assert "nothing found in stack: none" in refused(stack(node, "ps", "none"))
    said(stack(node, "rm", "bad"))
