"""Ends the containers of a node that does not run: for `swarmd leave` and `swarmd stop --tasks`.

    python -m workers.agent.executors.docker.leftovers stop|remove STATE_DIR

`stop` lets each have its grace period; `remove` leaves nothing of it after that, nor of its files.
It is a program, as a command of swarmd's imports no worker.
"""

import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

from docker import APIClient
from docker.errors import APIError

from swarmd.state_dir import StateDir
from workers.agent.executors.docker import ownership
from workers.agent.executors.docker.container import OWNER_LABEL
from workers.agent.executors.docker.engine import connect
from workers.agent.executors.docker.errors import ENGINE_ERRORS, translated
from workers.agent.executors.docker.files import TaskFiles

_AT_ONCE: Final = 32
_GRACE_SECONDS: Final = 24 * 3600  # whoever runs this ends it when it takes too long


def main(verb: str, state_dir: StateDir) -> int:
    """The exit status: 1 where an engine did not do all of it, which stderr then says."""
    owner = ownership.known_owner(state_dir)
    failed = False
    for address in ownership.engines(state_dir):
        try:
            _end_all(address, owner, is_removed=verb == "remove")
        except ENGINE_ERRORS as error:
            failed = True
            sys.stderr.write(f"Docker engine {address}: {translated(error)}\n")
    if verb == "remove" and not failed:
        files = TaskFiles(owner)
        for task_id in files.found():
            files.remove(task_id)
    return int(failed)


def _end_all(address: str, owner: str, *, is_removed: bool) -> None:
    """At the same time, as each may take its grace period; raises ENGINE_ERRORS."""
    with (
        contextlib.closing(connect(address, timeout=_GRACE_SECONDS)) as client,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        filters = {"label": [f"{OWNER_LABEL}={owner}"]}
        found = [each["Id"] for each in client.containers(all=True, filters=filters)]
        list(pool.map(partial(_end, client, is_removed), found))


def _end(client: APIClient, is_removed: bool, container: str) -> None:
    """Stop it by its own signal and grace period; one that is gone is fine."""
    try:
        client.stop(container)
        if is_removed:
            client.remove_container(container, v=True, force=True)
    except APIError as error:
        if error.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            raise  # else another has removed it, or is about to


if __name__ == "__main__":
    _, verb, root = sys.argv
    sys.exit(main(verb, StateDir(Path(root))))
