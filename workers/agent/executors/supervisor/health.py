"""Health checks of host processes, with Docker's rules and defaults.

A task is healthy from its first check that passes, and unhealthy after so many failures in a row. A
failure in the start period counts only once a check has passed.
"""

import asyncio
import contextlib
import enum
import os
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from swarmd import api
from swarmd.api import times
from swarmd.clock import Clock
from workers.agent.executors.errors import RejectedError
from workers.agent.executors.supervisor.account import Account

_INTERVAL: Final = 30.0
_TIMEOUT: Final = 30.0
_RETRIES: Final = 3
_START_INTERVAL: Final = 5.0
_KEPT: Final = 1024  # bytes of a check's output that are shown


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What to run, and how often; all times in seconds."""

    argv: tuple[str, ...]
    interval: float = _INTERVAL
    timeout: float = _TIMEOUT
    retries: int = _RETRIES
    start_period: float = 0.0
    start_interval: float = _START_INTERVAL


def parse(config: api.HealthConfig) -> HealthCheck | None:
    """The check, if any; raises RejectedError for a test that is not one."""
    match list(config.test):
        case [] | ["NONE"]:
            return None
        case ["CMD", *argv] if argv:
            command = tuple(argv)
        case ["CMD-SHELL", text]:
            command = ("/bin/sh", "-c", text)
        case _:
            raise RejectedError("healthcheck: test must be CMD with a command, CMD-SHELL or NONE")
    return HealthCheck(
        argv=command,
        interval=times.seconds(config.interval) or _INTERVAL,
        timeout=times.seconds(config.timeout) or _TIMEOUT,
        retries=config.retries or _RETRIES,
        start_period=times.seconds(config.start_period),
        start_interval=times.seconds(config.start_interval) or _START_INTERVAL,
    )


class Verdict(enum.Enum):
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Health:
    """Where a task stands."""

    verdict: Verdict = Verdict.STARTING
    failures: int = 0  # in a row
    said: str = ""  # the end of what the last failed check printed


@dataclass(frozen=True, slots=True)
class Result:
    """How one check went."""

    passed: bool
    said: str = ""


def after(health: Health, check: HealthCheck, result: Result, age: float) -> Health:
    """The health after one more check of a task that runs for `age` seconds."""
    if result.passed:
        return Health(Verdict.HEALTHY)
    if health.verdict is Verdict.STARTING and age < check.start_period:
        return replace(health, said=result.said)
    failures = health.failures + 1
    verdict = Verdict.UNHEALTHY if failures >= check.retries else health.verdict
    return Health(verdict, failures, result.said)


def pause(health: Health, check: HealthCheck, age: float) -> float:
    """Seconds until the next check."""
    early = health.verdict is Verdict.STARTING and age < check.start_period
    return check.start_interval if early else check.interval


class Probe(Protocol):
    async def __call__(self) -> Result:
        """Run the check once."""


async def follow(
    health: Health, check: HealthCheck, probe: Probe, clock: Clock, started_at: float
) -> AsyncGenerator[Health, None]:
    """The health after each check, until the caller has seen enough; `started_at` is wall time."""
    while True:
        await clock.sleep(pause(health, check, clock.now() - started_at))
        result = await probe()
        health = after(health, check, result, clock.now() - started_at)
        yield health


async def run_check(
    check: HealthCheck,
    account: Account,
    environment: Mapping[str, str],
    directory: str,
    cgroups: Sequence[str],
) -> Result:
    """Run its command once as the task's user; killed with all it started when time is up."""
    as_root = os.getuid() == 0
    try:
        process = await asyncio.create_subprocess_exec(
            *check.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,
            user=account.uid if as_root else None,
            group=account.gid if as_root else None,
            extra_groups=account.groups if as_root else None,
        )
    except OSError as error:
        return Result(passed=False, said=f"{check.argv[0]}: {error.strerror}")
    _join(process.pid, cgroups)
    try:
        async with asyncio.timeout(check.timeout):
            said = await _end_of_output(process)
            return Result(passed=await process.wait() == 0, said=said)
    except TimeoutError:
        return Result(passed=False, said=f"no answer in {check.timeout:g} s")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _end_of_output(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    kept = b""
    while piece := await process.stdout.read(4096):
        kept = (kept + piece)[-_KEPT:]
    return kept.decode(errors="replace").strip()


def _join(pid: int, cgroups: Sequence[str]) -> None:
    for file in cgroups:
        with contextlib.suppress(OSError):  # it ended already, or the task did
            Path(file).write_text(str(pid))
