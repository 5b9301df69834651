"""The command line of a member."""

from typing import Final

from swarmd.config import NodeConfig
from swarmd.quorum_file import FORCED, MOVING, QuorumFile
from swarmd.store.room import backend_bytes

_MOST_OPS: Final = 1_024  # a transaction of the store has 200 changes at most, and what they cause
_MOST_BYTES: Final = 8 << 20
_ENTRIES: Final = 10_000  # of its log between two snapshots: less memory, and a shorter start
# What a manager may miss before it reads everything again: 10,000 tasks that are deployed take 200
# of them, and 12 MiB; where room gets scarce, fewer are kept (workers.manager.quorum.upkeep).
_KEPT_REVISIONS: Final = 20_000


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
        "initial-cluster-state": "new" if quorum.start in {MOVING, FORCED} else "existing",
        "heartbeat-interval": str(heartbeat),
        "election-timeout": str(election),
        "max-txn-ops": str(_MOST_OPS),
        "max-request-bytes": str(_MOST_BYTES),
        "quota-backend-bytes": str(backend_bytes(config.quota_backend_bytes)),
        # It would have every change of members wait for five quiet seconds; those that can do harm,
        # a vote more and a vote less, are checked by the leader (workers.manager.quorum.members).
        "strict-reconfig-check": "false",
        "auto-compaction-mode": "revision",
        "auto-compaction-retention": str(_KEPT_REVISIONS),
        "snapshot-count": str(_ENTRIES),
        "logger": "zap",
        "log-outputs": "stderr",
        "log-level": "warn",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    flags.append("--pre-vote")  # who was cut off and is back does not unseat a sound leader
    if quorum.start == FORCED:
        flags.append("--force-new-cluster")
    return ["setpriv", "--pdeathsig", "KILL", etcd, *flags]


def ticks(config: NodeConfig) -> tuple[int, int]:
    """etcd's heartbeat and election time-out in milliseconds, of the options' seconds."""
    heartbeat = max(10, round(config.heartbeat_tick * 1000))
    return heartbeat, max(5 * heartbeat, round(config.election_tick * 1000))
