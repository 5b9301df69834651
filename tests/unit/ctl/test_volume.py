"""Volume flags into a spec, and a volume as people see it."""

from typing import Any

import click
import pytest

from swarmd import api
from swarmd.ctl import volume_spec
from swarmd.ctl.volume import create

Scope = api.VolumeAccessMode.Scope
Sharing = api.VolumeAccessMode.Sharing


def made(*words: str) -> api.VolumeSpec:
    given = create.make_context("create", [*words, "data"]).params
    return volume_spec.spec(given["named"], given, {"key": "id"})


def test_the_defaults_are_dockers() -> None:
    spec = made("-d", "ebs")
    assert ("data", "ebs") == (spec.annotations.name, spec.driver.name)
    assert (Scope.SINGLE_NODE, Sharing.NONE) == (spec.access_mode.scope, spec.access_mode.sharing)
    assert "block" == spec.access_mode.WhichOneof("access_type")
    assert not spec.HasField("AccessibilityRequirements")
    assert not spec.HasField("capacity_range")


def test_every_flag_has_its_place() -> None:
    spec = made(
        *("-d", "ebs", "-o", "a=b", "-o", "c=d,e", "--label", "x=y", "--group", "g"),
        *("--type", "mount", "--scope", "multi", "--sharing", "onewriter"),
        *("--availability", "pause", "--required-bytes", "10G", "--limit-bytes", "1t"),
        *("--topology-required", "region=R1,zone=Z1", "--topology-preferred", "zone=Z2"),
    )
    assert {"a": "b", "c": "d,e"} == dict(spec.driver.options)
    assert ({"x": "y"}, "g") == (dict(spec.annotations.labels), spec.group)
    mode = spec.access_mode
    assert (Scope.MULTI_NODE, Sharing.ONE_WRITER) == (mode.scope, mode.sharing)
    assert "mount" == mode.WhichOneof("access_type")
    assert api.VolumeSpec.VolumeAvailability.PAUSE == spec.availability
    assert (10 << 30, 1 << 40) == (
        spec.capacity_range.required_bytes,
        spec.capacity_range.limit_bytes,
    )
    where = spec.AccessibilityRequirements
    assert [{"region": "R1", "zone": "Z1"}] == [dict(one.segments) for one in where.requisite]
    assert [{"zone": "Z2"}] == [dict(one.segments) for one in where.preferred]
    assert [("key", "id")] == [(one.key, one.secret) for one in spec.secrets]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-d", "e", "--topology-required", "zone"], "'zone' is not KEY=VALUE"),
        (["-d", "e", "--required-bytes", "much"], "'much' is not a size"),
        (["-d", "e", "--opt", "x"], "'x' is not KEY=VALUE"),
        (["-d", "e", "--scope", "some"], "'some' is not one of"),
    ],
)
def test_what_cannot_be_meant_is_told(words: list[str], reason: str) -> None:
    with pytest.raises(click.UsageError, match=reason):
        made(*words)


@pytest.mark.parametrize(
    ("argument", "flag", "driver", "reason"),
    [
        (None, None, "e", "a volume needs a name"),
        ("data", None, None, "name it by --driver"),
        ("data", "data", "e", "one name"),
    ],
)
def test_a_volume_has_a_name_and_a_plugin(
    argument: str | None, flag: str | None, driver: str | None, reason: str
) -> None:
    with pytest.raises(click.UsageError, match=reason):
        volume_spec.name_of_new(argument, flag, driver)
    assert "data" == volume_spec.name_of_new("data", None, "e")


def volume(count: int = 0, **fields: Any) -> api.Volume:
    built = api.Volume(id="v", spec={"annotations": {"name": "data"}, "driver": {"name": "e"}})
    built.MergeFrom(api.Volume(**fields))
    for number in range(count):
        built.publish_status.add(node_id=f"n{number}", message="why")
    return built


MADE = {"volume_info": {"volume_id": "disk"}}


@pytest.mark.parametrize(
    ("one", "status"),
    [
        (volume(), "pending creation"),
        (volume(**MADE), "created"),
        (volume(1, **MADE), "in use (1 node)"),
        (volume(2, **MADE), "in use (2 nodes)"),
        (volume(pending_delete=True, **MADE), "pending removal"),
    ],
)
def test_how_far_it_is_is_said_in_dockers_words(one: api.Volume, status: str) -> None:
    assert status == volume_spec.fields(one)["Status"]


def test_the_page_says_what_went_wrong_and_where() -> None:
    one = volume(1, **MADE)
    one.spec.annotations.indices.add(key="swarmd.failure", val="error deleting volume: no")
    page = volume_spec.page(one, {"n0": "host-0"})
    assert "error deleting volume: no" == page["Error"]
    assert {"host-0": "pending-publish why"} == page["Nodes"]
