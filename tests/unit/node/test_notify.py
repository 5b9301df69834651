import socket
import tempfile
from pathlib import Path

import pytest

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
