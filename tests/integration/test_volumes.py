"""A service on a volume of cluster type: a real node, a real plugin, a real process."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmd import api
from tests.cluster import RealNode, wait
from tests.csi_plugin import CsiPlugin

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.getuid() != 0, reason="only root mounts a volume for a process"),
]


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CsiPlugin]:
    with CsiPlugin(tmp_path_factory.mktemp("csi")) as found:
        yield found


@pytest.fixture(scope="module")
def node(plugin: CsiPlugin) -> Iterator[RealNode]:
    with RealNode(plugin.option) as found:
        found.run()
        yield found


Availability = api.VolumeSpec.VolumeAvailability


def columns(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def said(done: "subprocess.CompletedProcess[str]") -> list[str]:
    assert 0 == done.returncode, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def name(tmp_path: Path) -> str:
    """A volume's, which no test had before, nor this one's first try."""
    return tmp_path.name


def find(node: RealNode, name: str) -> api.Volume:
    filters = {"names": [name]}
    (found,) = node.call("ListVolumes", api.ListVolumesRequest(filters=filters)).volumes
    return found


def create(node: RealNode, name: str, **fields: Any) -> api.Volume:
    spec = {"driver": {"name": "dirs"}, "access_mode": {"mount": {}}, **fields}
    request = api.CreateVolumeRequest(spec=api.VolumeSpec(annotations={"name": name}, **spec))
    return node.call("CreateVolume", request).volume


def make(node: RealNode, name: str, availability: int) -> None:
    """Give the volume that availability."""
    found = find(node, name)
    found.spec.availability = availability
    request = api.UpdateVolumeRequest(
        volume_id=found.id, volume_version=found.meta.version, spec=found.spec
    )
    node.call("UpdateVolume", request)


def serve(node: RealNode, source: str, target: Path, script: str, **fields: Any) -> str:
    """Tasks that run the script with the volume at their target."""
    mount = {"type": api.Mount.Type.CLUSTER, "source": source, "target": str(target)}
    command = ("sh", "-c", f"{script}; exec sleep 1000")
    mounts = [{**mount, "readonly": fields.pop("readonly", False)}]
    return node.create_service(*command, mounts=mounts, **fields)


def test_a_volume_from_its_creation_to_its_end(
    plugin: CsiPlugin, node: RealNode, name: str, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("1234")
    said(node.ctl("secret", "create", name, str(tmp_path / "password")))
    made = ("volume", "create", "--driver", "dirs", "--type", "mount", "--required-bytes", "10M")
    assert [name] == said(node.ctl(*made, "--secret", f"pass={name}", name))
    wait(lambda: plugin.attached(name) is not None, "its creation")
    assert "  dirs : as here" in said(node.ctl("node", "inspect", "self"))
    page = "\n".join(said(node.ctl("volume", "inspect", name)))
    assert "10.0 MiB" in page
    target = tmp_path / "there"
    mount = f"type=cluster,source={name},target={target}"
    run = ("host", "sh", "-c", f"echo here > {target}/file; exec sleep 1000")
    said(node.ctl("service", "create", "-d", "--name", "web", "--mount", mount, *run))
    wait(plugin.file(name, "file").exists, "the file")
    table = said(node.ctl("volume", "ls", "--filter", f"name={name}"))
    assert [name, "dirs", "active", "in use (1 node)"] == columns(table[1])
    assert [] == list(target.iterdir())  # the task alone sees it
    assert "volume is still in use" in node.ctl("volume", "rm", name).stderr
    said(node.ctl("service", "rm", "web"))
    wait(lambda: [] == plugin.attached(name), "its return")
    assert [] == list((node.state_dir / "csi/dirs/published").iterdir())
    assert [] == list((node.state_dir / "csi/volumes").iterdir())
    wait(lambda: not find(node, name).publish_status, "its status")
    assert [name] == said(node.ctl("volume", "rm", name))
    wait(lambda: plugin.attached(name) is None, "its deletion")
    assert name not in said(node.ctl("volume", "ls", "-q"))


def test_a_read_only_mount_cannot_be_written(node: RealNode, name: str, tmp_path: Path) -> None:
    create(node, name)
    target = tmp_path / "ro"
    script = f"touch {target}/x 2>{tmp_path}/new; mv {tmp_path}/new {tmp_path}/said"
    service = serve(node, name, target, script, readonly=True)
    wait((tmp_path / "said").exists, "its words")
    assert "Read-only file system" in (tmp_path / "said").read_text()
    node.remove_service(service)


def test_each_task_gets_a_volume_of_the_group_and_the_next_one_waits_and_says_so(
    plugin: CsiPlugin, node: RealNode, name: str, tmp_path: Path
) -> None:
    create(node, f"{name}-1", group=name), create(node, f"{name}-2", group=name)
    target = tmp_path / "g"
    service = serve(node, f"group:{name}", target, f"touch {target}/file", replicas=3)
    wait(lambda: all(plugin.file(f"{name}-{x}", "file").exists() for x in (1, 2)), "one on each")
    wanted = (
        "no suitable node (cannot fulfill requested CSI volume mounts on 1 node"
        f" (none of the 2 volumes of group:{name}: one is in use by another task,"
        " and is not shared))"
    )
    wait(lambda: wanted in [task.status.err for task in node.tasks(service)], "the reason")
    create(node, f"{name}-3", group=name)
    wait(plugin.file(f"{name}-3", "file").exists, "the third")
    node.remove_service(service)


def test_a_drained_volume_is_left_and_a_paused_one_is_not(
    plugin: CsiPlugin, node: RealNode, name: str, tmp_path: Path
) -> None:
    create(node, name)
    service = serve(node, name, tmp_path / "m", f"touch {tmp_path}/m/file")
    before = node.wait_running(service, 1)
    make(node, name, Availability.PAUSE)
    create(node, f"{name}-2")
    wait(lambda: plugin.attached(f"{name}-2") is not None, "something later")
    assert before == node.running(service)
    make(node, name, Availability.DRAIN)
    wait(lambda: [] == plugin.attached(name), "its return")
    rejected = "attached to volume which is being drained"
    assert rejected in [task.status.err for task in node.tasks(service)]
    make(node, name, Availability.ACTIVE)
    node.wait_running(service, 1)
    node.remove_service(service)


def test_what_is_shown_as_json_has_dockers_names(node: RealNode, name: str) -> None:
    create(node, name, AccessibilityRequirements={"requisite": [{"segments": {"zone": "a"}}]})
    (found,) = json.loads(node.ctl("volume", "inspect", "--format", "json", name).stdout)
    assert (name, "dirs", "global") == (found["Name"], found["Driver"], found["Scope"])
    spec = found["ClusterVolume"]["Spec"]
    assert {"Scope": "single", "Sharing": "none"}.items() <= spec["AccessMode"].items()
    assert [{"Segments": {"zone": "a"}}] == spec["AccessibilityRequirements"]["Requisite"]
