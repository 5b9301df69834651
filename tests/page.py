"""A page of docs/, and hosts whose operators type what stands on it, word for word.

page = Page("managers.md")
one = Operator(net.host(), page)
one.types("swarmd start --advertise-remote-api 10.0.0.1:4242")
one.types("swarmctl node demote NODE", NODE="three")    # which words to put others in place of
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from swarmd.cli.logs import log_path
from swarmd.state_dir import StateDir
from tests.cluster import READY_SECONDS
from tests.networks import Host, NetNode
from tests.reference import ROOT

_PROGRAMS = ("swarmd", "swarmctl")
_VERSION = "swarmd/__init__.py"


class Page:
    """One page of the documentation."""

    def __init__(self, name: str) -> None:
        self.text = (ROOT / "docs" / name).read_text()

    @property
    def commands(self) -> set[str]:
        """All of them: the indented lines, without comments, and those that stand in sentences."""
        lines = re.findall(r"^    (\S.*?)(?: {2,}#.*)?$", self.text, re.MULTILINE)
        inline = re.findall(r"`([^`\n]+)`", self.text)
        return {one for one in (*lines, *inline) if one.split()[0] in _PROGRAMS and " " in one}


class Operator(NetNode):
    """A host with swarmd installed on it, in a tree of its own, and a person at its keyboard."""

    def __init__(self, host: Host, name: str, page: Page) -> None:
        super().__init__(host)
        self.name = name
        self._page = page
        self._booting: subprocess.Popen[bytes] | None = None
        self._tree = self.root / "installed"
        for part in ("swarmd", "workers"):
            shutil.copytree(ROOT / part, self._tree / part)  # times too: byte code stays good
        shutil.copy(ROOT / "supervisord.conf", self._tree)
        self.environment |= {
            "PATH": f"{Path(sys.executable).parent}:{self.environment['PATH']}",
            "PYTHONPATH": str(self._tree),
            "SWARMD_HOSTNAME": name,
            "SWARMD_LISTEN_CONTROL_API": str(self.socket),
            "SWARMD_STATE_DIR": str(self.state_dir),
        }
        self._ip("route", "add", "default", "dev", "lan0")

    def types(
        self, words: str, given: str = "", status: int | None = 0, **names: str
    ) -> "subprocess.CompletedProcess[str]":
        """What came of it; these words have to stand on the page, and to end with that status."""
        assert words in self._page.text, f"{words!r} is not on the page"
        for name, value in names.items():
            words = words.replace(name, value)
        done = subprocess.run(
            self.host.enter("sh", "-c", words),
            **self._at_home,
            input=given,
            capture_output=True,
            text=True,
            timeout=3 * READY_SECONDS,
            check=False,
        )
        assert status in (None, done.returncode), (
            f"{self.name}: {words}: {done.stdout}{done.stderr}"
        )
        return done

    def spawn(self) -> "subprocess.Popen[bytes]":
        """The host is switched on, unless it is."""
        if self._booting is None or self._booting.poll() is not None:
            with self.log_path.open("ab") as log:
                self._booting = subprocess.Popen(
                    self.host.enter("swarmd", "start"), stdout=log, stderr=log, **self._at_home
                )
        return self._booting

    def move(self, number: int) -> None:
        """Another address in the same network; swarmd must not run meanwhile."""
        had, self.address = self.address, f"10.0.0.{number}:4242"
        self._ip("addr", "del", f"{had.partition(':')[0]}/24", "dev", "lan0")
        self._ip("addr", "add", f"10.0.0.{number}/24", "dev", "lan0")
        self._ip("route", "replace", "default", "dev", "lan0")

    def install(self, version: str) -> None:
        """swarmd anew, as of that version, while the one before runs."""
        path = self._tree / _VERSION
        path.write_text(
            re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', path.read_text())
        )

    @property
    def log(self) -> str:
        """All that swarmd said on this host."""
        path = log_path(StateDir(self.state_dir))
        return path.read_text(errors="replace") if path.exists() else ""

    def kill_all(self) -> None:
        if self._booting is not None:
            self._booting.kill()
            self._booting.wait()
        super().kill_all()

    @property
    def _at_home(self) -> dict[str, Any]:
        return {"env": self.environment, "cwd": self.root}

    def _ip(self, *words: str) -> None:
        subprocess.run(self.host.enter("ip", *words), check=True, capture_output=True)
