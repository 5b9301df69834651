"""This node's containers, when the node itself does not run: a program of the agent's ends them."""

import subprocess
import sys
import time
from typing import Literal

from swarmd.errors import UnavailableError
from swarmd.state_dir import StateDir

_PROGRAM = "workers.agent.executors.docker.leftovers"


def end_containers(place: StateDir, verb: Literal["stop", "remove"], deadline: float) -> None:
    """Stop them, or remove them too; raises UnavailableError, naming the engine that did not."""
    if not place.container_engines.exists():
        return
    command = [sys.executable, "-m", _PROGRAM, verb, str(place.root)]
    try:
        done = subprocess.run(  # noqa: S603  our own program
            command,
            capture_output=True,
            text=True,
            timeout=max(1.0, deadline - time.monotonic()),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError("containers have not stopped in time") from error
    if done.returncode:
        raise UnavailableError(f"containers are left: {done.stderr.strip()}")
