"""What a plugin is asked, and what is said of one that does not answer."""

from pathlib import Path

import pytest

from swarmd import api
from swarmd.api.protos import csi_pb2 as csi
from swarmd.csi import convert
from swarmd.csi.driver import Abilities, Driver, DriverError, Drivers
from swarmd.errors import Status, UnavailableError
from tests.fakes.csi_driver import CsiDriver

Scope = api.VolumeAccessMode.Scope
Sharing = api.VolumeAccessMode.Sharing
Mode = csi.VolumeCapability.AccessMode.Mode


async def test_what_it_can_do_is_asked_once(tmp_path: Path) -> None:
    driver = Driver("d", tmp_path / "s")
    async with CsiDriver(tmp_path, tmp_path / "s", stages=False) as plugin:
        assert (
            Abilities(creates=True, publishes=True, has_topology=True) == await driver.abilities()
        )
        assert not await driver.stages()
        await driver.abilities()
        assert 2 == plugin.calls.count("Probe")  # for each of the two services
    await driver.close()


async def test_a_restarted_plugin_is_asked_anew(tmp_path: Path) -> None:
    driver = Driver("d", tmp_path / "s")
    async with CsiDriver(tmp_path, tmp_path / "s", stages=False):
        assert not await driver.stages()
    with pytest.raises(UnavailableError, match=f"CSI plugin d does not answer at {tmp_path}/s"):
        await driver.node("NodeGetInfo", csi.NodeGetInfoRequest())
    async with CsiDriver(tmp_path, tmp_path / "s", stages=True):
        assert await driver.stages()
    await driver.close()


async def test_a_refusal_has_the_plugins_words_and_its_code(tmp_path: Path) -> None:
    driver = Driver("d", tmp_path / "s")
    async with CsiDriver(tmp_path, tmp_path / "s") as plugin:
        plugin.turn(DeleteVolume={"fails": "OUT_OF_RANGE"})
        with pytest.raises(DriverError, match="plugin d refused DeleteVolume: told") as refused:
            await driver.controller("DeleteVolume", csi.DeleteVolumeRequest(volume_id="v"))
        assert Status.OUT_OF_RANGE == refused.value.status
        plugin.turn(NodeGetInfo={"hangs": 5})
        with pytest.raises(DriverError, match=r"did not answer NodeGetInfo within 0\.1 s"):
            await driver.node("NodeGetInfo", csi.NodeGetInfoRequest(), 0.1)
    await driver.close()


def test_an_unknown_plugin_is_told_by_name_with_those_there_are() -> None:
    with pytest.raises(UnavailableError, match=r"no CSI plugin x .* \(known: a, b\)"):
        Drivers(["a=/a.sock", "b=/b.sock"]).get("x")


@pytest.mark.parametrize(
    ("scope", "sharing", "mode"),
    [
        (Scope.SINGLE_NODE, Sharing.NONE, Mode.SINGLE_NODE_WRITER),
        (Scope.SINGLE_NODE, Sharing.READ_ONLY, Mode.SINGLE_NODE_READER_ONLY),
        (Scope.SINGLE_NODE, Sharing.ONE_WRITER, Mode.SINGLE_NODE_WRITER),
        (Scope.SINGLE_NODE, Sharing.ALL, Mode.SINGLE_NODE_WRITER),
        (Scope.MULTI_NODE, Sharing.NONE, Mode.MULTI_NODE_SINGLE_WRITER),
        (Scope.MULTI_NODE, Sharing.READ_ONLY, Mode.MULTI_NODE_READER_ONLY),
        (Scope.MULTI_NODE, Sharing.ONE_WRITER, Mode.MULTI_NODE_SINGLE_WRITER),
        (Scope.MULTI_NODE, Sharing.ALL, Mode.MULTI_NODE_MULTI_WRITER),
    ],
)
def test_each_scope_and_sharing_is_an_access_mode(scope: int, sharing: int, mode: int) -> None:
    wanted = api.VolumeAccessMode(scope=scope, sharing=sharing, mount={"fs_type": "ext4"})
    found = convert.capability(wanted)
    assert (mode, "ext4") == (found.access_mode.mode, found.mount.fs_type)


def test_a_block_device_is_one() -> None:
    assert "block" == convert.capability(api.VolumeAccessMode(block={})).WhichOneof("access_type")


def test_what_is_empty_is_left_out() -> None:
    assert convert.capacity(api.CapacityRange()) is None
    assert convert.requirement(api.TopologyRequirement()) is None
