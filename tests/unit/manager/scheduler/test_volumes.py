"""Which volume a task gets on which node, and what is said where there is none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd import api
from tests.unit.manager.scheduler.cluster import counts, node, node_set, tasks
from workers.manager.scheduler.node_set import NodeSet
from workers.manager.scheduler.placement import Placement, place, place_here

SINGLE, MULTI = api.VolumeAccessMode.Scope.SINGLE_NODE, api.VolumeAccessMode.Scope.MULTI_NODE
Sharing = api.VolumeAccessMode.Sharing
Availability = api.VolumeSpec.VolumeAvailability
NONE_FITS = "cannot fulfill requested CSI volume mounts on "


def volume(
    name: str = "data", scope: int = SINGLE, sharing: int = Sharing.NONE, **spec: Any
) -> api.Volume:
    """One that is made; its id is its name."""
    mode = {"scope": scope, "sharing": sharing, "mount": {}}
    fields = {"driver": {"name": "d"}, "access_mode": mode, **spec}
    built = api.Volume(id=name, spec=api.VolumeSpec(annotations={"name": name}, **fields))
    built.volume_info.volume_id = f"disk-{name}"
    return built


def having(name: str, zone: str = "", most: int = 0, **fields: Any) -> api.Node:
    """A node with the plugin."""
    built = node(name, **fields)
    info = built.description.csi_info.add(plugin_name="d", node_id=name, max_volumes_per_node=most)
    if zone:
        info.accessible_topology.segments["zone"] = zone
    return built


def there(*objects: api.Node | api.Volume) -> NodeSet:
    made = node_set(*(one for one in objects if isinstance(one, api.Node)))
    for one in objects:
        if isinstance(one, api.Volume):
            made.volumes.put(one)
    return made


def wanting(count: int, *sources: str, readonly: bool = False, of: str = "web") -> list[api.Task]:
    """Tasks that mount these at /0, /1 …"""
    made = tasks(count, service_id=of)
    for task in made:
        for number, source in enumerate(sources):
            task.spec.container.mounts.add(
                type=api.Mount.Type.CLUSTER,
                source=source,
                target=f"/{number}",
                readonly=readonly,
            )
    return made


def given_volumes(found: Placement) -> list[list[str]]:
    return [[one.id for one in each.volumes] for each in found.assigned]


def test_a_task_goes_to_a_node_that_has_the_plugin_and_is_told_its_volume() -> None:
    nodes = there(node("n1"), having("n2"), volume())
    found = place(nodes, wanting(1, "data"), now=0)
    assert {"n2": 1} == counts(found)
    (one,) = found.assigned
    assert [api.VolumeAttachment(id="data", source="data", target="/0")] == list(one.volumes)


def made(**changes: Any) -> api.Volume:
    found = volume()
    found.MergeFrom(api.Volume(**changes))
    return found


UNMADE = volume()
UNMADE.ClearField("volume_info")


@pytest.mark.parametrize(
    ("volumes", "source", "why"),
    [
        ([], "data", "there is no volume data"),
        ([volume("Data")], "data", "there is no volume data"),
        ([], "group:g", "there is no volume group:g"),
        ([UNMADE], "data", "volume data is not made yet"),
        ([made(pending_delete=True)], "data", "volume data is being removed"),
        ([volume(availability="PAUSE")], "data", "volume data has availability pause"),
        ([volume(availability="DRAIN")], "data", "volume data has availability drain"),
        ([volume(sharing=Sharing.READ_ONLY)], "data", "volume data can be mounted read-only alone"),
        ([volume(driver={"name": "other"})], "data", ""),
    ],
)
def test_where_none_can_be_had_the_reason_is_said(
    volumes: list[api.Volume], source: str, why: str
) -> None:
    found = place(there(having("n1"), having("n2"), *volumes), wanting(1, source), now=0)
    assert NONE_FITS + "2 nodes" + (f" ({why})" if why else "") == found.reason


@pytest.mark.parametrize(
    ("scope", "sharing", "readonly", "expected", "why"),
    [
        (SINGLE, Sharing.NONE, False, {"n1": 1}, "is in use by another task, and is not shared"),
        (MULTI, Sharing.NONE, False, {"n1": 1}, "is in use by another task, and is not shared"),
        (SINGLE, Sharing.ALL, False, {"n1": 4}, ""),
        (SINGLE, Sharing.ONE_WRITER, False, {"n1": 1}, "has a writer already"),
        (SINGLE, Sharing.ONE_WRITER, True, {"n1": 4}, ""),
        (SINGLE, Sharing.READ_ONLY, True, {"n1": 4}, ""),
        (MULTI, Sharing.ALL, False, {"n1": 2, "n2": 2}, ""),
        (MULTI, Sharing.ONE_WRITER, False, {"n1": 1}, "has a writer already"),
        (MULTI, Sharing.READ_ONLY, True, {"n1": 2, "n2": 2}, ""),
    ],
)
def test_scope_and_sharing_say_how_many_tasks_may_have_it(
    scope: int, sharing: int, readonly: bool, expected: dict[str, int], why: str
) -> None:
    nodes = there(having("n1"), having("n2"), volume(scope=scope, sharing=sharing))
    found = place(nodes, wanting(4, "data", readonly=readonly), now=0)
    assert expected == counts(found)
    assert why in found.reason


def test_a_reader_joins_the_one_writer() -> None:
    nodes = there(having("n1"), volume(sharing=Sharing.ONE_WRITER))
    assert {"n1": 1} == counts(place(nodes, wanting(1, "data"), now=0))
    readers = wanting(2, "data", readonly=True, of="reader")
    assert {"n1": 2} == counts(place(nodes, readers, now=0))


def test_of_a_group_each_task_gets_the_least_used() -> None:
    shared = [volume(name, sharing=Sharing.ALL, group="g") for name in ("a", "b", "c")]
    found = place(there(having("n1"), *shared), wanting(6, "group:g"), now=0)
    got = [one for (one,) in given_volumes(found)]
    assert sorted("abc" * 2) == sorted(got)


def test_of_equal_ones_that_which_is_on_the_node_already() -> None:
    far, near = volume("a", group="g"), volume("b", group="g")
    near.publish_status.add(node_id="n1")
    found = place(there(having("n1"), far, near), wanting(1, "group:g"), now=0)
    assert [["b"]] == given_volumes(found)


def test_two_mounts_of_one_group_are_two_volumes() -> None:
    pair = [volume(name, group="g") for name in ("a", "b")]
    nodes = there(having("n1"), *pair)
    assert [["a", "b"]] == given_volumes(place(nodes, wanting(1, "group:g", "group:g"), now=0))
    alone = there(having("n1"), pair[0])
    assert not place(alone, wanting(1, "group:g", "group:g"), now=0).assigned


def test_a_volume_is_used_where_it_can_be_reached() -> None:
    away = volume()
    away.volume_info.accessible_topology.add(segments={"zone": "b"})
    nodes = there(having("n1", zone="a"), having("n2", zone="b"), away)
    assert {"n2": 1} == counts(place(nodes, wanting(1, "data"), now=0))
    nowhere = there(having("n1", zone="a"), away)
    assert not place(nowhere, wanting(1, "data"), now=0).assigned
    unknown = there(having("n1"), away)
    assert {"n1": 1} == counts(place(unknown, wanting(1, "data"), now=0))


def test_a_node_has_no_more_volumes_than_its_plugin_says() -> None:
    some = [volume(name, sharing=Sharing.ALL, group="g") for name in ("a", "b", "c")]
    nodes = there(having("n1", most=2), *some)
    assert {"n1": 2} == counts(place(nodes, wanting(2, "group:g"), now=0))
    third = wanting(1, "c", of="other")
    assert not place(nodes, third, now=0).assigned
    again = wanting(1, "a", of="again")  # it is there already
    assert {"n1": 1} == counts(place(nodes, again, now=0))


def test_a_task_that_ended_gives_its_volume_to_the_next() -> None:
    nodes = there(having("n1"), volume())
    first, second = wanting(2, "data")
    placed = place(nodes, [first], now=0)
    assert not place(nodes, [second], now=0).assigned
    assert nodes.let_go(first.id, placed.assigned[0].node.id)
    assert {"n1": 1} == counts(place(nodes, [second], now=0))


def test_a_task_of_a_node_that_is_gone_holds_its_volume_until_it_ended() -> None:
    nodes = there(having("n1"), volume())
    lost = wanting(1, "data")[0]
    lost.node_id = "gone"
    lost.volumes.add(id="data", source="data", target="/0")
    nodes.hold(lost)
    waiting = wanting(1, "data", of="next")
    assert not place(nodes, waiting, now=0).assigned
    assert nodes.let_go(lost.id, "gone")
    assert {"n1": 1} == counts(place(nodes, waiting, now=0))


def test_a_preassigned_task_gets_its_volume_too() -> None:
    nodes = there(having("n1"), node("n2"), volume())
    task = wanting(1, "data")[0]
    task.node_id = "n2"
    assert NONE_FITS + "1 node" == place_here(nodes, task).reason
    task.node_id = "n1"
    assert [["data"]] == given_volumes(place_here(nodes, task))


def test_a_dropped_volume_cannot_be_had_and_a_new_one_of_its_name_can() -> None:
    nodes = there(having("n1"), volume())
    nodes.volumes.drop(volume())
    assert not place(nodes, wanting(1, "data"), now=0).assigned
    nodes.volumes.put(volume())
    assert place(nodes, wanting(1, "data"), now=0).assigned


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.booleans()), max_size=12),
    st.sampled_from(sorted(api.VolumeAccessMode.Scope.values())),
    st.sampled_from(sorted(Sharing.values())),
)
def test_no_volume_is_ever_used_beyond_its_scope_and_sharing(
    steps: list[tuple[str, bool, bool]], scope: int, sharing: int
) -> None:
    nodes = there(having("n1"), having("n2"), *(volume(x, scope, sharing) for x in "ab"))
    live: dict[str, tuple[str, str, bool]] = {}  # task: volume, node, readonly
    for number, (name, readonly, ends) in enumerate(steps):
        (task,) = wanting(1, name, readonly=readonly, of=f"s{number}")
        for one in place(nodes, [task], now=0).assigned:
            live[task.id] = (one.volumes[0].id, one.node.id, readonly)
        for each in ("a", "b"):
            uses = [(on, ro) for of, on, ro in live.values() if of == each]
            assert scope == MULTI or len({on for on, _ in uses}) <= 1
            assert sharing != Sharing.NONE or len(uses) <= 1
            assert sharing != Sharing.READ_ONLY or all(ro for _, ro in uses)
            assert sharing != Sharing.ONE_WRITER or sum(not ro for _, ro in uses) <= 1
        if ends and live:
            ended = next(iter(live))
            nodes.let_go(ended, live.pop(ended)[1])
