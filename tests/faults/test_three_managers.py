"""docs/managers.md, followed word for word on three hosts: what it promises holds on them."""

import itertools
import os
import random
import re
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from swarmd import api
from swarmd.security.key_file import is_sealed
from swarmd.state_dir import StateDir
from tests.cluster import wait
from tests.killing import Killing
from tests.networks import Lan, lan
from tests.page import Operator, Page
from tests.quorum import Managers, why_not
from tests.registers import Services

PAGE = Page("managers.md")
ELSEWHERE = {
    "swarmctl backup",
    "swarmctl cluster update --rotate-unlock-key",
    "swarmctl node inspect",
    "swarmd restore",
}
"""Commands of which the page only says that they are there; other tests type them."""
KILLING_SECONDS = float(os.environ.get("SWARMD_KILLING_SECONDS", "40"))
_AT_ONCE_SECONDS = 60.0  # of history that is checked as one
_TASKS = 6
_versions = itertools.count(1)
_numbers = itertools.count(11)  # of hosts, in their network

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


class Three(Managers):
    """`net` connects them; `service` is one that nobody touches."""

    net: Lan
    nodes: list[Operator]

    def listed(self) -> list[str]:
        """The lines of `swarmctl node ls`, by the first of them."""
        return self.nodes[0].types("swarmctl node ls").stdout.splitlines()[1:]

    def other_services(self) -> set[str]:
        found = self.nodes[0].call("ListServices", api.ListServicesRequest()).services
        return {one.id for one in found} - {self.service}

    def remove_other_services(self) -> None:
        for one in self.other_services():
            self.nodes[0].remove_service(one)

    def wait_role(self, name: str, role: "api.NodeRole.ValueType") -> None:
        def has_it() -> bool:
            nodes = self.nodes[0].call("ListNodes", api.ListNodesRequest()).nodes
            return [role] == [one.role for one in nodes if one.description.hostname == name]

        wait(has_it, f"{name} as a {api.NodeRole.Name(role)}", 120)


@pytest.fixture(scope="module")
def formed() -> Iterator[Three]:
    if why_not():
        pytest.skip(why_not())
    with (
        lan() as net,
        Operator(net.host(), "one", PAGE) as one,
        Operator(net.host(), "two", PAGE) as two,
        Operator(net.host(), "three", PAGE) as three,
    ):
        managers = Three([one, two, three])
        managers.net = net
        form(one, two, three)
        managers.wait_whole()
        managers.service = one.create_service("sleep", "10000", replicas=_TASKS)
        one.wait_running(managers.service, _TASKS)
        yield managers


def form(one: Operator, two: Operator, three: Operator) -> None:
    """The others both at once."""
    one.types("swarmd start --advertise-remote-api 10.0.0.1:4242")
    shown = one.types("swarmctl cluster inspect default").stdout
    token = re.search(r"Manager *: (SWMTKN-1-\S+)", shown)
    assert token is not None, shown
    for node in (one, two, three):
        (node.root / "token").write_text(token[1])
    words = (
        "swarmd start --advertise-remote-api 10.0.0.2:4242 "
        "--join-addr 10.0.0.1:4242 --join-token-file token"
    )
    with ThreadPoolExecutor() as pool:
        second = pool.submit(two.types, words)
        pool.submit(three.types, words, **{"10.0.0.2": "10.0.0.3"}).result()
        second.result()


@pytest.fixture
def managers(formed: Three) -> Iterator[Three]:
    """Whole before the test, and whole again after it, with as many tasks, and no other service."""
    formed.wait_whole()
    yield formed
    formed.wait_whole()
    formed.remove_other_services()
    formed.nodes[0].wait_running(formed.service, _TASKS)


def test_every_command_on_the_page_is_typed_here() -> None:
    source = re.sub(r'"\n\s+"', "", Path(__file__).read_text())
    assert set() == {one for one in PAGE.commands - ELSEWHERE if f'"{one}"' not in source}


def test_three_managers_are_listed_and_one_of_them_leads(managers: Three) -> None:
    for _ in managers.nodes:
        found = [line.split() for line in managers.listed()]
        assert 3 == len(found)
        assert ["Leader", "Reachable", "Reachable"] == sorted(line[-2] for line in found)


def test_each_says_how_it_is(managers: Three) -> None:
    parts = []
    for node in managers.nodes:
        shown = node.types("swarmd status").stdout
        (line,) = re.findall(r"^quorum +(.*)$", shown, re.MULTILINE)
        part, *facts = line.split("; ")
        parts.append(part)
        facts = [one for one in facts if not one.startswith("etcd alarms")]  # of a busy machine
        assert ["etcd disk", "etcd memory", "lag"] == sorted(
            re.sub(r" [\d.]+( [KM]iB)?$", "", one) for one in facts
        )
    assert ["follows", "follows", "leads"] == sorted(parts)


@pytest.mark.timeout(600 + 4 * KILLING_SECONDS)
def test_any_one_machine_is_killed_every_few_seconds(managers: Three) -> None:
    seed = random.randrange(1_000_000)
    killing = Killing(managers, managers.net, managers.service, random.Random(seed))
    left = KILLING_SECONDS
    managers.nodes[0].beat_every(20)  # who is killed twice is back in time on a busy machine too
    try:
        while left > 0:
            with managers.load(2) as configs, managers.load(2, registers=Services()) as services:
                killing.run(min(left, _AT_ONCE_SECONDS))
            configs.check()
            check_services(managers, services.check())
            left -= _AT_ONCE_SECONDS
    except BaseException as error:
        error.add_note("\n".join([f"seed {seed}", *killing.done]))
        raise
    finally:
        managers.wait_whole()
        managers.nodes[0].beat_every(5)


def check_services(managers: Three, services: dict[str, api.Service]) -> None:
    """Each of these has exactly the tasks it asks for, no other service is there; then none is."""
    assert managers.other_services() == {one.id for one in services.values()}
    wait(lambda: is_as_asked(managers, services.values()), "exactly the tasks that were asked for")
    managers.remove_other_services()


def is_as_asked(managers: Three, services: Iterable[api.Service]) -> bool:
    """By the managers' word, and by the processes that live."""
    state = api.TaskState.RUNNING
    wanted = [
        task
        for task in managers.nodes[0].tasks()
        if task.status.state == task.desired_state == state
    ]
    alive = set().union(*(node.task_processes().values() for node in managers.nodes))
    return {task.id for task in wanted} == alive and all(
        [list(one.spec.task.container.env)] * one.spec.replicated.replicas
        == [list(task.spec.container.env) for task in wanted if task.service_id == one.id]
        for one in services
    )


def test_they_are_upgraded_one_after_the_other_under_load(managers: Three) -> None:
    version, one = f"9.{next(_versions)}.0", managers.nodes[0]
    before = one.running(managers.service)
    with managers.load(2) as configs, managers.load(1, registers=Services()) as services:
        for node in (*managers.followers, managers.leader):
            node.install(version)
            node.types("swarmd restart")
            managers.wait_whole()
            wait(lambda node=node: has_version(managers, node, version), "the new version")
            configs.wait_written(20)
            services.wait_written(2)
    configs.check()
    check_services(managers, services.check())
    assert before == one.running(managers.service)


def has_version(managers: Three, node: Operator, version: str) -> bool:
    return [version] == [line.split()[-1] for line in managers.listed() if node.id in line]


def test_a_manager_becomes_a_worker_and_a_manager_again(managers: Three) -> None:
    one, two, three = managers.nodes
    before = one.running(managers.service)
    one.types("swarmctl node demote NODE", NODE="three")
    wait(lambda: three.is_ready() and three.report["role"] == "worker", "a worker")
    two.types("swarmctl node promote NODE", NODE="three")
    managers.wait_whole()
    assert before == one.running(managers.service)


def test_a_host_is_taken_away(managers: Three) -> None:
    one, _, three = managers.nodes
    gone = three.id
    three.types("swarmd leave")
    join(three, one)
    wait(
        lambda: [gone, "three", "Down"] in [line.split()[:3] for line in managers.listed()], "Down"
    )
    one.types("swarmctl node rm NODE", NODE=gone)
    assert 3 == len(managers.listed())


def test_a_lost_manager_is_forgotten(managers: Three) -> None:
    one, _, three = managers.nodes
    three.kill_all()
    shutil.rmtree(three.state_dir)
    one.types("swarmctl node demote NODE", NODE="three")
    one.types("swarmctl node rm --force NODE", NODE="three")
    assert 2 == len(managers.listed())
    join(three, one)


def join(node: Operator, other: Operator) -> None:
    """On a host that is of no cluster."""
    words = "swarmd join --join-addr 10.0.0.1:4242 --join-token-file token"
    node.types(words, **{"10.0.0.1:4242": other.address})


def test_a_manager_comes_back_with_another_address(managers: Three) -> None:
    three = managers.nodes[2]
    three.types("swarmd stop")
    three.move(next(_numbers))
    three.types("swarmd start")
    managers.wait_whole()
    wait(lambda: all(three.address in addresses(node) for node in managers.nodes), "known to all")


def addresses(node: Operator) -> str:
    return (node.state_dir / "etcd/quorum.json").read_text()


def test_all_addresses_change_at_once(managers: Three) -> None:
    before = managers.nodes[0].running(managers.service)
    for node in managers.nodes:
        node.types("swarmd stop")
        node.move(next(_numbers))
    one, two, three = managers.nodes
    words = "swarmd start --join-addr 10.0.0.2:4242"
    ways = [(one, two.address), (two, three.address), (three, one.address)]
    with ThreadPoolExecutor() as pool:
        starts = [pool.submit(node.types, words, **{"10.0.0.2:4242": at}) for node, at in ways]
        for start in starts:
            start.result()
    managers.wait_whole()
    assert before == one.running(managers.service)


def test_damaged_data_of_etcd_is_named_with_the_way_out(managers: Three) -> None:
    one, _, three = managers.nodes
    old = three.id
    three.types("swarmd stop")
    (log,) = (three.state_dir / "etcd/data/member/wal").glob("0000*.wal")
    written = log.read_bytes().rstrip(b"\0")
    log.write_bytes(written[:100] + bytes(len(written) - 200) + written[-100:])
    refused = three.types("swarmd start", status=1)
    assert str(three.state_dir / "etcd/data") in refused.stderr
    three.types("swarmd leave --force")
    join(three, one)
    one.types("swarmctl node demote OLD", OLD=old)
    one.types("swarmctl node rm --force OLD", OLD=old)
    assert 3 == len(managers.listed())


def test_each_locked_manager_is_unlocked_after_a_start(managers: Three) -> None:
    one = managers.nodes[0]
    before = one.running(managers.service)
    shown = one.types("swarmctl cluster update --autolock").stdout
    key = re.search(r"SWMKEY-1-\S+", shown)
    assert key is not None, shown
    sealed = [StateDir(node.state_dir).node_key for node in managers.nodes]
    wait(lambda: all(is_sealed(path) for path in sealed), "sealed everywhere")
    for node in managers.nodes:
        node.types("swarmd stop")
    for node in managers.nodes:
        assert "locked" in node.types("swarmd start").stdout
        assert "locked" in node.types("swarmd status", status=4).stdout
    for node in managers.nodes:
        node.types("swarmd unlock", given=f"{key[0]}\n")
    managers.wait_whole()
    assert before == one.running(managers.service)
    one.types("swarmctl cluster update --no-autolock")
    wait(lambda: not any(is_sealed(path) for path in sealed), "open everywhere")


def test_one_goes_on_alone_when_the_others_are_lost(managers: Three) -> None:
    one, two, three = managers.nodes
    with managers.load(2) as load:
        load.wait_written(20)
    wait(lambda: "lag 0;" in one.types("swarmd status").stdout, "all that there is")
    two.kill_all()
    three.kill_all()
    wait(lambda: 4 == one.types("swarmd status", status=None).returncode, "no quorum")
    assert "no quorum" in one.types("swarmctl node ls", status=1).stderr
    one.types("swarmd stop")
    one.types("swarmd start --force-new-cluster")
    load.check()
    one.wait_running(managers.service, _TASKS)
    two.spawn()
    wait(lambda: two.is_ready() and two.report["role"] == "worker", "back as a worker")
    one.types("swarmctl node promote NODE", NODE="two")
    one.types("swarmctl node rm --force NODE", NODE="three")
    three.types("swarmd leave --force")
    join(three, one)
