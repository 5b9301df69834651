import asyncio
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from swarmd.node import run
from swarmd.node.notify import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_who_listens_is_told(abstract):
    place = str(Path(tempfile.mkdtemp(prefix="swd")) / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + place if abstract else place)
        notify({"NOTIFY_SOCKET": "@" + place if abstract else place}, READY="1", STATUS="fine")
        assert b"READY=1\nSTATUS=fine" == listener.recv(100)


def test_nobody_listens_and_nothing_happens():
    notify({}, READY="1")


def test_a_listener_that_is_gone_is_no_error(tmp_path):
    notify({"NOTIFY_SOCKET": str(tmp_path / "gone")}, READY="1")


async def test_a_node_that_waits_is_started_and_later_ready(monkeypatch):
    """systemd would end it, and its tasks: a locked one, or one whose manager is down."""
    told: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    monkeypatch.setattr(run, "notify", lambda **words: told.put_nowait(words))
    monkeypatch.setattr(run, "PATIENCE_SECONDS", 0.01)
    ready = asyncio.Event()
    task = asyncio.create_task(run._notify_ready(SimpleNamespace(ready=ready)))
    waits = await told.get()
    assert ("1", "not ready yet") == (waits["READY"], waits["STATUS"].partition(":")[0])
    ready.set()
    assert {"READY": "1", "STATUS": "ready"} == await told.get()
    await task


def test_the_unit_gives_it_the_time_for_that():
    unit = Path(__file__).parents[3] / "deploy" / "swarmd.service"
    (line,) = [one for one in unit.read_text().splitlines() if one.startswith("TimeoutStartSec=")]
    assert run.PATIENCE_SECONDS < int(line.partition("=")[2])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    unit = Path(__file__).parents[3] / "deploy" / "swarmd.service"
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/swarmd/bin/", "/bin/true "))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(copy)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
