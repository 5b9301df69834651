"""Wait until services are as they were asked for, and show how far they are.

`judge` decides from what is in the store; `converge` asks again after each change that Watch tells.
A service counts as converged when it stayed so for the monitor period of its update settings, as
Docker's own client has it: a task that crashes right after its start is no success. A job is done
when its last task is.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from swarmd import api
from swarmd.api import breakers
from swarmd.api import services as questions
from swarmd.api.times import seconds
from swarmd.ctl.connection import Control
from swarmd.ctl.held import breakers_of
from swarmd.ctl.judge import Progress, Verdict, judge
from swarmd.ctl.output import state
from swarmd.ctl.resolve import list_all, tasks_of

MONITOR_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 0.05
_ANY_ACTION: Final = api.WatchActionKind.ValueType(1 | 2 | 4)  # create, update, remove
_State = api.TaskState
_Update = api.UpdateStatus.UpdateState


async def converge(
    control: Control,
    service_id: str,
    most_seconds: float | None,
    *,
    quiet: bool = False,
    goes_back: bool = False,
) -> int:
    """Wait, and show it on a terminal unless quiet; returns the command's exit status."""
    services = {service_id: ""}
    return await converge_all(control, services, most_seconds, quiet=quiet, goes_back=goes_back)


async def converge_all(
    control: Control,
    services: Mapping[str, str],
    most_seconds: float | None,
    *,
    quiet: bool = False,
    goes_back: bool = False,
) -> int:
    """Wait for all of these, by id, each with the name that it is shown by: none for a lone one.

    `goes_back` where they were told to roll back.
    """
    display = _Display(services, quiet=quiet)
    try:
        async with asyncio.timeout(most_seconds):
            found = await asyncio.gather(
                *(_wait(control, one, display, goes_back=goes_back) for one in services)
            )
    except TimeoutError:
        for service_id, name in services.items():
            progress = display.last.get(service_id)
            if progress is None or progress.verdict is not Verdict.CONVERGED:
                reasons = progress.reasons if progress else ()
                _complain(name, f"not converged after {most_seconds:g} s", reasons)
        return 1
    finally:
        display.close()
    failed = [
        (name, progress)
        for name, progress in zip(services.values(), found, strict=True)
        if progress.verdict is Verdict.FAILED
    ]
    for name, progress in failed:
        _complain(name, "service failed", progress.reasons)
    return 1 if failed else 0


def _complain(name: str, what: str, reasons: Sequence[str]) -> None:
    parts = [name, what, "; ".join(reasons)]
    click.echo(": ".join(filter(None, parts)), err=True)


async def _wait(
    control: Control, service_id: str, display: "_Display", *, goes_back: bool
) -> Progress:
    """Look again after each change, until it failed or was converged for its monitor period."""
    stable_since: float | None = None
    async with changes(control, [service_id]) as changed:
        while True:
            changed.clear()
            service, progress = await _look(control, service_id, goes_back=goes_back)
            display.show(service_id, progress)
            if progress.verdict is Verdict.FAILED:
                return progress
            if progress.verdict is Verdict.WAITING:
                stable_since = None
            elif stable_since is None:
                stable_since = time.monotonic()
            left = None
            if stable_since is not None:
                left = stable_since + _monitor_seconds(service) - time.monotonic()
                if left <= 0:
                    return progress
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), left)
                await asyncio.sleep(_SETTLE_SECONDS)  # changes come in bursts: look once for many


@contextlib.asynccontextmanager
async def changes(control: Control, service_ids: Iterable[str]) -> AsyncIterator[asyncio.Event]:
    """An event that is set by each change of the services and of their tasks."""
    request = api.WatchRequest()
    for service_id in service_ids:
        request.entries.add(kind="service", action=_ANY_ACTION).filters.add(id=service_id)
        request.entries.add(kind="task", action=_ANY_ACTION).filters.add(service_id=service_id)
    feed = aiter(control.watch.Watch(request))
    await anext(feed)  # an empty message first: the watch stands
    changed = asyncio.Event()

    async def follow() -> None:
        async for _ in feed:
            changed.set()

    try:
        async with asyncio.TaskGroup() as group:
            following = group.create_task(follow())
            try:
                yield changed
            finally:
                following.cancel()
    except ExceptionGroup as several:  # one went wrong, and took the other along
        raise several.exceptions[0] from several


async def _look(
    control: Control, service_id: str, *, goes_back: bool
) -> tuple[api.Service, Progress]:
    reply, tasks, found = await asyncio.gather(
        control.api.GetService(api.GetServiceRequest(service_id=service_id)),
        tasks_of(control, service_ids=[service_id]),
        breakers_of(control, [service_id]),
    )
    service = reply.service
    held = [breakers.cause(one) for one in found if breakers.holds(one, service)]
    per_node = questions.is_per_node(service)
    nodes = (await list_all(control, "node")) if per_node else []
    progress = judge(service, tasks, _eligible(tasks, nodes), goes_back=goes_back, held=held)
    return service, progress


def _eligible(tasks: Sequence[api.Task], nodes: Sequence[api.Node]) -> int:
    """Nodes that a global service should be on: the manager made a task for each that fits."""
    able = {
        one.id
        for one in nodes
        if one.status.state == api.NodeStatus.State.READY
        and one.spec.availability == api.NodeSpec.Availability.ACTIVE
    }
    wanted = {one.node_id for one in tasks if one.desired_state <= _State.COMPLETE}  # or to run
    return len(wanted & able)


def _monitor_seconds(service: api.Service) -> float:
    if questions.is_job(service) or service.update_status.state == _Update.COMPLETED:
        return 0.0  # the manager has watched the new tasks for that long already
    config = service.spec.update
    return seconds(config.monitor) if config.HasField("monitor") else MONITOR_SECONDS


class _Display:
    """A line of progress a service on a terminal, and the reasons below it; nothing elsewhere."""

    def __init__(self, services: Mapping[str, str], *, quiet: bool) -> None:
        self.last: dict[str, Progress] = {}
        self._services = services
        console = Console(stderr=True, highlight=False)
        self._live: Live | None = None
        if console.is_terminal and not quiet:
            self._live = Live(console=console, transient=True)
        if self._live:
            self._live.start()

    def show(self, service_id: str, progress: Progress) -> None:
        self.last[service_id] = progress
        if self._live is None:
            return
        lines = [
            line
            for one, name in self._services.items()
            if one in self.last
            for line in _lines(name, self.last[one])
        ]
        self._live.update(Group(*lines))

    def close(self) -> None:
        if self._live:
            self._live.stop()


def _lines(name: str, progress: Progress) -> list[Text]:
    line = Text(f"{name}: " if name else "")
    line.append(f"{progress.done} of {progress.wanted} {progress.what}")
    if progress.verdict is Verdict.CONVERGED:
        line.append(", waiting that they stay so", style="dim")
    for state_name, count in progress.states.items():
        if state_name.lower() != progress.what:
            line.append(f"  {count} ").append_text(state(state_name))
    return [line, *(Text(f"  {one}") for one in progress.reasons)]
