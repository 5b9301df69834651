"""NodeConfig: what one node was told, built once from flags, environment and file."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

DEFAULT_STATE_DIR: Final = Path("/var/lib/swarmd")
DEFAULT_CONTROL_SOCKET: Final = Path("/var/run/swarmd.sock")
DEFAULT_REMOTE_API: Final = "0.0.0.0:4242"
DEFAULT_QUOTA_BYTES: Final = 8 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """The options of `swarmd run`, each named as its flag; ticks are in seconds."""

    hostname: str
    state_dir: Path = DEFAULT_STATE_DIR
    log_level: str = "info"
    log_format: str = "text"
    listen_control_api: Path = DEFAULT_CONTROL_SOCKET
    listen_remote_api: str = DEFAULT_REMOTE_API
    advertise_remote_api: str = ""
    listen_metrics: str = ""
    listen_debug: str = ""
    join_addr: str = ""
    join_token: str = field(default="", repr=False)
    availability: str = "active"
    label: tuple[str, ...] = ()
    engine_addr: tuple[str, ...] = ()
    csi_plugin: tuple[str, ...] = ()
    generic_node_resources: str = ""
    force_new_cluster: bool = False
    store: str = "auto"
    quota_backend_bytes: int = DEFAULT_QUOTA_BYTES
    heartbeat_tick: float = 0.1
    election_tick: float = 0.6
    external_ca: tuple[str, ...] = ()
    root_ca_cert: str = ""
    root_ca_key: str = ""
    autolock: bool = False
    unlock_key: str = field(default="", repr=False)

    def to_json(self) -> str:
        """One line, for the pipe to a worker. Never log it: it can hold a token and a key."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The other end of `to_json`; raises ValueError or TypeError when it is not that."""
        fields: dict[str, Any] = json.loads(text)
        for name in ("state_dir", "listen_control_api"):
            fields[name] = Path(fields[name])
        for name in ("engine_addr", "csi_plugin", "external_ca", "label"):
            fields[name] = tuple(fields[name])
        return cls(**fields)
