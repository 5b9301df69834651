"""Which etcd there is on this host, and the command line of a member."""

import re
import shutil
import subprocess
from typing import Final

from swarmd.config import NodeConfig
from swarmd.errors import CannotBootError
from swarmd.quorum_file import FORCED, NEW, QuorumFile

OLDEST: Final = (3, 4)  # the first with learners, by which a manager joins without risk
_VERSION: Final = re.compile(r"etcd Version: (\d+)\.(\d+)\.")
_MOST_OPS: Final = 1_024  # a transaction of the store has 200 changes at most, and what they cause
_MOST_BYTES: Final = 8 << 20
_QUOTA_BYTES: Final = 8 << 30
_KEPT_REVISIONS: Final = 20_000  # what a manager may miss before it reads everything again


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


def command_line(etcd: str, config: NodeConfig, quorum: QuorumFile) -> list[str]:
    """A member's, to be run in its own directory; it ends with the process that runs it."""
    url = f"unix://{quorum.node_id}:0"
    cluster = ",".join(f"{one}=unix://{one}:0" for one in quorum.members)
    heartbeat, election = ticks(config)
    options = {
        "name": quorum.node_id,
        "data-dir": "data",
        "listen-client-urls": "unix://client:0",
        "advertise-client-urls": "unix://client:0",
        "listen-peer-urls": url,
        "initial-advertise-peer-urls": url,
        "initial-cluster": cluster,
        "initial-cluster-state": "new" if quorum.start in {NEW, FORCED} else "existing",
        "heartbeat-interval": str(heartbeat),
        "election-timeout": str(election),
        "max-txn-ops": str(_MOST_OPS),
        "max-request-bytes": str(_MOST_BYTES),
        "quota-backend-bytes": str(_QUOTA_BYTES),
        "auto-compaction-mode": "revision",
        "auto-compaction-retention": str(_KEPT_REVISIONS),
        "logger": "zap",
        "log-outputs": "stderr",
        "log-level": "warn",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    if quorum.start == FORCED:
        flags.append("--force-new-cluster")
    return ["setpriv", "--pdeathsig", "KILL", etcd, *flags]


def ticks(config: NodeConfig) -> tuple[int, int]:
    """etcd's heartbeat and election time-out in milliseconds, of the options' seconds."""
    heartbeat = max(10, round(config.heartbeat_tick * 1000))
    return heartbeat, max(5 * heartbeat, round(config.election_tick * 1000))
