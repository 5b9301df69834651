"""Which etcd there is on this host."""

import functools
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from swarmd.errors import CannotBootError

OLDEST: Final = (3, 4)  # the first with learners, by which a manager joins without risk
_VERSION: Final = re.compile(r"etcd Version: (\d+)\.(\d+)\.(\d+)")
_ANSWER_SECONDS: Final = 10
_asking = threading.Lock()


@dataclass(frozen=True, slots=True)
class EtcdProgram:
    """Where it is, and its version as `3.4.23`."""

    path: str
    version: str


def find_etcd() -> EtcdProgram:
    """One that is recent enough; raises CannotBootError with what to install.

    Blocks while it is asked for its version: once, as long as the file is the same.
    """
    path = shutil.which("etcd")
    if path is None:
        message = (
            "a cluster with several managers needs etcd, and there is none on PATH: "
            "install it (Debian: apt install etcd-server)"
        )
        raise CannotBootError(message)
    try:
        found = Path(path).stat()
        with _asking:
            version = _version_of(path, found.st_mtime_ns, found.st_size)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBootError(f"{path} does not tell its version: {error}") from error
    if not version or tuple(map(int, version.split(".")[:2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        told = version or "of no version that it tells"
        raise CannotBootError(f"{path} is etcd {told}: {oldest} or newer is needed")
    return EtcdProgram(path, version)


def shared_etcd(store: str) -> EtcdProgram:
    """The same, for one manager of several; `store` is this node's --store.

    Raises CannotBootError also where that option forbids it.
    """
    if store == "sqlite":
        raise CannotBootError(
            "managers keep the store together in etcd, and this node was started with "
            "--store sqlite: start it without that option"
        )
    return find_etcd()


def why_no_manager(store: str) -> str:
    """What `shared_etcd` raises, as a sentence; empty where it does not."""
    try:
        shared_etcd(store)
    except CannotBootError as error:
        return str(error)
    return ""


@functools.lru_cache(maxsize=1)
def _version_of(path: str, _mtime: int, _size: int) -> str:
    """Empty where it tells none; raises OSError, TimeoutExpired."""
    asked = [path, "--version"]
    done = subprocess.run(asked, capture_output=True, check=False, timeout=_ANSWER_SECONDS)  # noqa: S603
    found = _VERSION.search(done.stdout.decode(errors="replace"))
    return ".".join(found.groups()) if found else ""
