"""Where alike tasks go, and what is said of those that go nowhere."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd import api
from swarmd.api.resources import discrete, named
from tests.unit.manager.scheduler.cluster import counts, node, node_set, reserving, tasks
from workers.manager.scheduler.node_info import FAILURES_SECONDS, MAX_FAILURES, kind_of
from workers.manager.scheduler.placement import place, place_here

GIB = 1 << 30
DOWN = api.NodeStatus.State.DOWN
DRAIN = api.NodeSpec.Availability.DRAIN


def on_zones(*zones: str) -> Any:
    return node_set(*(node(f"n{i}", labels={"zone": zone}) for i, zone in enumerate(zones)))


def placement(**fields: Any) -> dict[str, api.Placement]:
    return {"placement": api.Placement(**fields)}


def spread_over(*labels: str) -> dict[str, api.Placement]:
    spreads = [api.SpreadOver(spread_descriptor=label) for label in labels]
    preferences = [api.PlacementPreference(spread=spread) for spread in spreads]
    return placement(preferences=preferences)


def test_alike_tasks_are_spread_evenly() -> None:
    nodes = node_set(node("n1"), node("n2"), node("n3"))
    got = place(nodes, tasks(7), now=0)
    assert [2, 2, 3] == sorted(counts(got).values())
    assert not got.left


def test_nodes_with_fewer_tasks_of_the_service_come_first() -> None:
    nodes = node_set(node("n1"), node("n2"))
    place(node_set(), tasks(1), now=0)
    nodes.hold(assigned(tasks(1)[0], "n1"))
    assert {"n2": 1} == counts(place(nodes, tasks(2)[1:], now=0))


def test_of_equal_nodes_the_one_with_fewer_tasks_of_any_service_comes_first() -> None:
    nodes = node_set(node("n1"), node("n2"))
    nodes.hold(assigned(tasks(1, service_id="other")[0], "n1"))
    assert {"n2": 1} == counts(place(nodes, tasks(1), now=0))


def test_task_that_is_to_stop_does_not_count_but_keeps_its_resources() -> None:
    nodes = node_set(node("n1", cpus=1), node("n2", cpus=1))
    spec = reserving(nano_cpus=10**9)
    stopping = assigned(tasks(1, **spec)[0], "n1")
    stopping.desired_state = api.TaskState.SHUTDOWN
    nodes.hold(stopping)
    assert {"n2": 1} == counts(place(nodes, tasks(3, **spec)[1:], now=0))


def test_resources_are_exact() -> None:
    nodes = node_set(node("n1", cpus=2), node("n2", memory_bytes=3 * GIB))
    got = place(nodes, tasks(9, **reserving(nano_cpus=10**9, memory_bytes=GIB)), now=0)
    assert {"n1": 2, "n2": 3} == counts(got)
    assert "insufficient resources on 2 nodes" == got.reason
    assert 4 == len(got.left)


def test_named_resources_are_given_to_one_task_each() -> None:
    nodes = node_set(with_generic("n1", named("gpu", "a"), named("gpu", "b")))
    got = place(nodes, tasks(3, **reserving(generic=[discrete("gpu", 1)])), now=0)
    assert [[named("gpu", "a")], [named("gpu", "b")]] == [list(a.generic) for a in got.assigned]
    assert 1 == len(got.left)
    assert nodes.let_go(got.assigned[0].task.id, "n1")
    again = place(nodes, got.left, now=0)
    assert [named("gpu", "a")] == list(again.assigned[0].generic)


def test_changed_node_offers_what_its_tasks_leave() -> None:
    nodes = node_set(node("n1", cpus=4))
    place(nodes, tasks(2, **reserving(nano_cpus=10**9)), now=0)
    nodes.put(node("n1", cpus=3))
    got = place(nodes, tasks(9, service_id="next", **reserving(nano_cpus=10**9)), now=0)
    assert {"n1": 1} == counts(got)


@pytest.mark.parametrize(
    ("sick", "spec", "reason"),
    [
        (node("n1", state=DOWN), {}, "1 node not available for new tasks"),
        (node("n1", availability=DRAIN), {}, "1 node not available for new tasks"),
        (node("n1"), reserving(nano_cpus=10**12), "insufficient resources on 1 node"),
        (node("n1"), reserving(generic=[discrete("gpu", 1)]), "insufficient resources on 1 node"),
        (
            node("n1"),
            placement(constraints=["node.labels.zone==a"]),
            "scheduling constraints not satisfied on 1 node",
        ),
        (
            node("n1"),
            placement(platforms=[api.Platform(os="windows")]),
            "unsupported platform on 1 node",
        ),
        (node("n1"), {"image": "host"}, "no engine for host tasks on 1 node"),
        (node("n1", engines=["supervisor"]), {}, "no engine for containers on 1 node"),
        (
            node("n1", engines=["docker"]),
            {"log_driver": api.Driver(name="gelf")},
            "",
        ),
    ],
)
def test_reason_names_the_filter(sick: api.Node, spec: dict[str, Any], reason: str) -> None:
    assert reason == place(node_set(sick), tasks(1, **spec), now=0).reason


def test_reasons_are_told_with_the_commonest_first() -> None:
    ready = node("n1", labels={"zone": "a"}, cpus=1)
    nodes = node_set(ready, node("n2", state=DOWN), node("n3"), node("n4"))
    spec = {**reserving(nano_cpus=2 * 10**9), **placement(constraints=["node.labels.zone==a"])}
    expected = (
        "scheduling constraints not satisfied on 2 nodes; "
        "1 node not available for new tasks; insufficient resources on 1 node"
    )
    assert expected == place(nodes, tasks(1, **spec), now=0).reason


def test_no_nodes_give_no_reason() -> None:
    assert "" == place(node_set(), tasks(1), now=0).reason


@pytest.mark.parametrize(
    ("engines", "image", "fits"),
    [
        (["supervisor"], "host", True),
        (["supervisor", "docker"], "host", True),
        (["supervisor", "docker"], "nginx", True),
        (["docker"], "host", False),
        (["supervisor"], "nginx", False),
        ([], "nginx", True),
        ([], "host", False),
    ],
)
def test_image_decides_which_engine_a_node_needs(engines, image: str, fits: bool) -> None:
    got = place(node_set(node("n1", engines=engines)), tasks(1, image=image), now=0)
    assert fits == bool(got.assigned)


@pytest.mark.parametrize(
    ("os", "architecture", "fits"),
    [
        ("linux", "amd64", True),
        ("", "x86_64", True),
        ("linux", "", True),
        ("", "", True),
        ("linux", "arm64", False),
        ("windows", "amd64", False),
    ],
)
def test_platforms_match_by_either_name_of_an_architecture(
    os: str, architecture: str, fits: bool
) -> None:
    wanted = api.Platform(os=os, architecture=architecture)
    got = place(node_set(node("n1")), tasks(1, **placement(platforms=[wanted])), now=0)
    assert fits == bool(got.assigned)


def test_max_replicas_hold_on_each_node() -> None:
    nodes = node_set(node("n1"), node("n2"))
    got = place(nodes, tasks(5, **placement(max_replicas=2)), now=0)
    assert {"n1": 2, "n2": 2} == counts(got)
    assert "max replicas per node limit exceed" == got.reason


def test_host_port_is_taken_once_a_node_and_free_again_after_its_task() -> None:
    nodes = node_set(node("n1"), node("n2"))
    group = tasks(3)
    for task in group:
        task.endpoint.ports.add(publish_mode=api.PortConfig.PublishMode.HOST, published_port=80)
    got = place(nodes, group, now=0)
    assert {"n1": 1, "n2": 1} == counts(got)
    assert "host-mode port already in use on 2 nodes" == got.reason
    nodes.let_go(got.assigned[1].task.id, "n2")
    assert {"n2": 1} == counts(place(nodes, got.left, now=0))


def test_volume_plugin_must_be_there() -> None:
    mount = api.Mount(type=api.Mount.Type.VOLUME, source="v", target="/v")
    mount.volume_options.driver_config.name = "flocker"
    spec = api.ContainerSpec(image="nginx", mounts=[mount])
    group = tasks(2)
    for task in group:
        task.spec.container.CopyFrom(spec)
    has, lacks = node("has"), node("lacks")
    has.description.engine.plugins.add(type="Volume", name="flocker:latest")
    lacks.description.engine.plugins.add(type="Volume", name="local")
    assert {"has": 2} == counts(place(node_set(has, lacks), group, now=0))
    assert "missing plugin on 1 node" == place(node_set(lacks), group, now=0).reason


def test_log_driver_must_be_there_unless_the_node_lists_none() -> None:
    old, new = node("old"), node("new")
    old.description.engine.plugins.add(type="Volume", name="local")
    new.description.engine.plugins.add(type="Log", name="json-file")
    spec = {"log_driver": api.Driver(name="gelf")}
    assert {"old": 2} == counts(place(node_set(old, new), tasks(2, **spec), now=0))


def test_preference_splits_tasks_over_values_not_over_nodes() -> None:
    nodes = on_zones("a", "a", "a", "b")
    assert {"n0": 1, "n1": 1, "n2": 1, "n3": 3} == counts(
        place(nodes, tasks(6, **spread_over("node.labels.zone")), now=0)
    )


def test_nodes_without_the_label_are_a_branch() -> None:
    nodes = node_set(node("n0", labels={"zone": "a"}), node("n1"), node("n2"))
    got = counts(place(nodes, tasks(4, **spread_over("node.labels.zone")), now=0))
    assert {"n0": 2, "n1": 1, "n2": 1} == got


def test_preferences_nest() -> None:
    nodes = node_set(
        node("a1", labels={"zone": "a", "rack": "1"}),
        node("a2", labels={"zone": "a", "rack": "2"}),
        node("a2b", labels={"zone": "a", "rack": "2"}),
        node("b1", labels={"zone": "b", "rack": "1"}),
    )
    spec = spread_over("node.labels.zone", "node.labels.rack")
    got = counts(place(nodes, tasks(8, **spec), now=0))
    assert {"a1": 2, "a2": 1, "a2b": 1, "b1": 4} == got


def test_full_branch_leaves_its_share_to_the_others() -> None:
    nodes = node_set(
        node("a", cpus=1, labels={"zone": "a"}), node("b", cpus=9, labels={"zone": "b"})
    )
    spec = {**spread_over("node.labels.zone"), **reserving(nano_cpus=10**9)}
    assert {"a": 1, "b": 5} == counts(place(nodes, tasks(6, **spec), now=0))


def test_preference_for_anything_but_a_label_has_no_effect() -> None:
    nodes = on_zones("a", "a", "a", "b")
    got = counts(place(nodes, tasks(4, **spread_over("node.hostname")), now=0))
    assert {"n0": 1, "n1": 1, "n2": 1, "n3": 1} == got


def test_node_where_the_service_failed_five_times_comes_last() -> None:
    nodes = node_set(node("n1"), node("n2", cpus=1))
    sick = nodes.get("n1")
    group = tasks(3, **reserving(nano_cpus=10**9))
    for _ in range(MAX_FAILURES):
        sick.record_failure(kind_of(group[0]), now=10)
    assert {"n2": 1} == counts(place(nodes, group[:1], now=11))
    assert {"n1": 1} == counts(place(nodes, group[1:2], now=11))
    assert 0 == sick.recent_failures(kind_of(group[0]), now=10 + FAILURES_SECONDS)


def test_four_failures_and_those_of_other_kinds_are_forgiven() -> None:
    nodes = node_set(node("n1"), node("n2"))
    nodes.hold(assigned(tasks(1)[0], "n2"))
    group = tasks(2)[1:]
    for _ in range(MAX_FAILURES - 1):
        nodes.get("n1").record_failure(kind_of(group[0]), now=0)
    for _ in range(MAX_FAILURES):
        nodes.get("n1").record_failure(kind_of(tasks(1, service_id="other")[0]), now=0)
    assert {"n1": 1} == counts(place(nodes, group, now=1))


def test_global_task_stays_on_its_node_or_says_why_not() -> None:
    nodes = node_set(node("n1"), node("n2", cpus=1))
    task = assigned(tasks(1, **reserving(nano_cpus=2 * 10**9))[0], "n2")
    assert "insufficient resources on 1 node" == place_here(nodes, task).reason
    nodes.put(node("n2", cpus=2))
    assert {"n2": 1} == counts(place_here(nodes, task))


def test_global_task_of_a_node_that_is_gone_waits_in_silence() -> None:
    got = place_here(node_set(), assigned(tasks(1)[0], "gone"))
    assert ("", 1) == (got.reason, len(got.left))


@given(
    free=st.lists(st.integers(0, 6), min_size=1, max_size=6),
    groups=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 3)), max_size=5),
    gone=st.lists(st.integers(0, 50), max_size=10),
)
def test_no_node_is_ever_given_more_than_it_has(free, groups, gone) -> None:
    nodes = node_set(*(node(f"n{i}", cpus=cpus) for i, cpus in enumerate(free)))
    held = []
    for number, (count, cpus) in enumerate(groups):
        spec = reserving(nano_cpus=cpus * 10**9)
        got = place(nodes, tasks(count, service_id=f"s{number}", **spec), now=0)
        held += [(each.task.id, each.node.id, cpus) for each in got.assigned]
        assert count == len(got.assigned) + len(got.left)
        for each in gone[:number]:
            if held:
                task_id, node_id, _ = held.pop(each % len(held))
                assert nodes.let_go(task_id, node_id)
        for i, cpus_there in enumerate(free):
            used = sum(c for _, node_id, c in held if node_id == f"n{i}")
            assert cpus_there >= used
            assert (cpus_there - used) * 10**9 == nodes.get(f"n{i}").free_cpus
    for task_id, node_id, _ in held:
        nodes.let_go(task_id, node_id)
    assert [cpus * 10**9 for cpus in free] == [each.free_cpus for each in nodes]
    assert all(not each.by_service and not each.tasks and not each.wanted_tasks for each in nodes)


@given(old=st.lists(st.integers(0, 4), min_size=1, max_size=6), count=st.integers(1, 20))
def test_where_all_fit_the_nodes_that_got_tasks_differ_by_one_at_most(old, count: int) -> None:
    nodes = node_set(*(node(f"n{i}") for i in range(len(old))))
    before = iter(tasks(100))
    for i, each in enumerate(old):
        for _ in range(each):
            nodes.hold(assigned(next(before), f"n{i}"))
    group = list(before)[:count]
    got = counts(place(nodes, group, now=0))
    assert count == sum(got.values())
    totals = {each.id: each.by_service.get("web", 0) for each in nodes}
    assert all(totals[name] <= min(totals.values()) + 1 for name in got)


def assigned(task: api.Task, node_id: str) -> api.Task:
    moved = api.Task()
    moved.CopyFrom(task)
    moved.node_id = node_id
    moved.status.state = api.TaskState.RUNNING
    return moved


def with_generic(name: str, *resources: api.GenericResource) -> api.Node:
    made = node(name)
    made.description.resources.generic.extend(resources)
    return made
