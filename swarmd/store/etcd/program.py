"""Which etcd there is on this host."""

import re
import shutil
import subprocess
from typing import Final

from swarmd.errors import CannotBootError

OLDEST: Final = (3, 4)  # the first with learners, by which a manager joins without risk
_VERSION: Final = re.compile(r"etcd Version: (\d+)\.(\d+)\.")


def find_etcd() -> str:
    """The program's path; raises CannotBootError with what to install."""
    path = shutil.which("etcd")
    if path is None:
        message = (
            "a cluster with several managers needs etcd, and there is none on PATH: "
            "install it (Debian: apt install etcd-server)"
        )
        raise CannotBootError(message)
    asked = [path, "--version"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = _VERSION.search(said)
    if found is None or tuple(map(int, found.groups())) < OLDEST:
        version = ".".join(found.groups()) if found else "no version that it tells"
        oldest = ".".join(map(str, OLDEST))
        raise CannotBootError(f"{path} is etcd {version}: {oldest} or newer is needed")
    return path
