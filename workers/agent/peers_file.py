"""state.json: the managers' addresses, remembered across restarts, in SwarmKit's form.

[{"node_id": "…", "addr": "10.0.0.5:4242"}, …]
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from swarmd.errors import CannotBootError
from swarmd.state_dir import replace_file
from workers.agent.remotes import Remote


def load(path: Path) -> list[Remote]:
    """The managers in the file, none where there is no file; raises CannotBootError."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise CannotBootError(msg) from error
    try:
        return [_remote(entry) for entry in json.loads(text) or []]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"{path} is not a list of managers ({error}). Nothing was changed: put a copy back"
        raise CannotBootError(f"{msg}, or move it away and give --join-addr again") from error


def save(path: Path, remotes: Iterable[Remote]) -> None:
    """Replace the file; raises OSError."""
    entries = [_entry(remote) for remote in sorted(remotes)]
    replace_file(path, json.dumps(entries).encode())


def _remote(entry: dict[str, Any]) -> Remote:
    node_id, addr = entry.get("node_id", ""), entry["addr"]
    if not isinstance(node_id, str) or not isinstance(addr, str):
        msg = f"not a manager: {entry}"
        raise TypeError(msg)
    return Remote(node_id, addr)


def _entry(remote: Remote) -> dict[str, str]:
    entry = {"node_id": remote.node_id} if remote.node_id else {}
    return {**entry, "addr": remote.addr}
