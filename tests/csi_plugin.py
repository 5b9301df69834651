"""The plugin of tests/fakes/csi_driver.py as a process of its own, for real nodes.

    with CsiPlugin(path) as plugin, RealNode(plugin.option) as node: ...

`path` is short: a unix socket lives in it. Several plugins can share the volumes of one `root`.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.cluster import wait
from tests.fakes import csi_driver
from tests.reference import ROOT


class CsiPlugin:
    """The plugin `dirs`. It can be killed and started again: what it knows is on disk."""

    def __init__(self, path: Path, node_id: str = "here", root: Path | None = None) -> None:
        self.root = root or path / "storage"
        self.socket = path / f"{node_id}.sock"
        self._node_id = node_id
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def option(self) -> str:
        """For `swarmd run`."""
        return f"--csi-plugin=dirs={self.socket}"

    def start(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "tests.fakes.csi_driver"]
        argv += [str(self.root), str(self.socket), self._node_id]
        self._process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL)
        wait(self.socket.exists, "the plugin")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
        self._process = None

    def turn(self, **knobs: dict[str, Any]) -> None:
        csi_driver.turn(self.root, knobs)

    @property
    def calls(self) -> list[str]:
        return csi_driver.calls(self.root)

    def attached(self, name: str) -> list[str] | None:
        """To which nodes; None where there is no such volume."""
        found = csi_driver.volumes(self.root).get(f"vol-{name}")
        return None if found is None else list(found["nodes"])

    def file(self, name: str, file: str) -> Path:
        """A file on that volume, as its storage has it."""
        return self.root / "volumes" / f"vol-{name}" / file
