"""How a container stands, from what the engine says of it (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from swarmd import api
from workers.agent.executors.errors import ExecutorError, ExitError

_ENDED: Final = ("exited", "dead")


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One look at one container."""

    id: str
    status: str  # created, running, paused, restarting, removing, exited, dead
    pid: int
    exit_code: int
    health: str = ""  # starting, healthy, unhealthy; empty or none where nothing is checked
    said: str = ""  # what the last health check printed
    out_of_memory: bool = False
    failure: str = ""
    stop_signal: str = ""
    tty: bool = False

    @property
    def is_created(self) -> bool:
        """It was never started."""
        return self.status == "created"

    @property
    def has_ended(self) -> bool:
        return self.status in _ENDED

    @property
    def has_health_check(self) -> bool:
        return self.health not in ("", "none")

    def to_status(self) -> api.ContainerStatus:
        return api.ContainerStatus(container_id=self.id, pid=self.pid, exit_code=self.exit_code)


def read(found: Mapping[str, Any]) -> ContainerState:
    """From what the engine's inspection says."""
    state, config = found["State"], found["Config"]
    health = state.get("Health") or {}
    checks = health.get("Log") or [{}]
    return ContainerState(
        id=found["Id"],
        status=state["Status"],
        pid=state["Pid"],
        exit_code=state["ExitCode"],
        health=health.get("Status", ""),
        said=checks[-1].get("Output", "").strip(),
        out_of_memory=state.get("OOMKilled", False),
        failure=state.get("Error", ""),
        stop_signal=config.get("StopSignal") or "",
        tty=config.get("Tty", False),
    )


def exit_error(state: ContainerState, *, is_unhealthy: bool = False) -> ExecutorError | None:
    """How an ended container is told; none where it ended well."""
    cause = _cause(state, is_unhealthy=is_unhealthy)
    if state.exit_code:
        sentence = f"task: non-zero exit ({state.exit_code})"
        return ExitError(state.exit_code, f"{sentence}: {cause}" if cause else sentence)
    return ExecutorError(f"task: {cause}") if is_unhealthy else None


def _cause(state: ContainerState, *, is_unhealthy: bool) -> str:
    if is_unhealthy:
        return f"unhealthy container: {state.said}" if state.said else "unhealthy container"
    if state.out_of_memory:
        return "out of memory: it reached its memory limit"
    return state.failure
