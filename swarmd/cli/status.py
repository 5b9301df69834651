"""swarmd status: what runs on this node, in what state, as a table or JSON.

It asks whoever can answer: the parent's report in the state directory, psutil for each process,
supervisord for the tasks, the control API for leadership. Any of them may be down.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import click
import grpc
import psutil
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from swarmd import api
from swarmd.api import breakers
from swarmd.api.protos.control_pb2_grpc import ControlStub
from swarmd.api.protos.governor_pb2 import ListBreakersRequest
from swarmd.api.protos.governor_pb2_grpc import GovernorStub
from swarmd.cli import supervisord as sv
from swarmd.cli.node_report import NodeReport
from swarmd.cli.options import CONFIG_OPTION, STATE_DIR_OPTION
from swarmd.errors import ExitStatus, SwarmError
from swarmd.rpc.channel import dial_control
from swarmd.state_dir import StateDir, supervisord_socket

_API_SECONDS: Final = 2.0
_MOST_HELD: Final = 10
_NO_QUORUM: Final = "no quorum: more than half of the managers have to run and reach each other"
_CPU_SECONDS: Final = 0.1
_WATCH_SECONDS: Final = 1.0
_PIPE_WIDTH: Final = 10_000
_MEBIBYTE: Final = 1 << 20
_HEADINGS: Final = {"processes": "PROCESS", "tasks": "TASK"}
_STYLES: Final = {
    "ready": "green",
    "RUNNING": "green",
    "STARTING": "yellow",
    "BACKOFF": "red",
    "FATAL": "red",
    "degraded": "red",
    "starting": "yellow",
    "locked": "yellow",
}


@click.command()
@CONFIG_OPTION
@STATE_DIR_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--watch", is_flag=True, help="Refresh it each second, until Ctrl+C.")
def status(config: Path | None, state_dir: Path, as_json: bool, watch: bool) -> None:  # noqa: ARG001
    """Show the node, its processes and its tasks.

    Exit status: 0 ready, 3 stopped, 4 running but not ready.
    """
    place = StateDir(state_dir)
    try:
        if watch and not as_json:
            _watch(place)
        facts = gather(place)
        while watch:
            click.echo(json.dumps(facts))
            time.sleep(_WATCH_SECONDS)
            facts = gather(place)
    except KeyboardInterrupt:
        raise SystemExit(ExitStatus.INTERRUPTED) from None
    except PermissionError as error:
        message = f"{error.filename} belongs to another user: run swarmd status as that user"
        raise click.ClickException(message) from error
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        _print(facts)
    raise SystemExit(exit_status(facts["state"]))


def exit_status(state: str) -> ExitStatus:
    """What `swarmd status` exits with."""
    known = {"ready": ExitStatus.CLEAN, "stopped": ExitStatus.STOPPED}
    return known.get(state, ExitStatus.DEGRADED)


def gather(place: StateDir) -> dict[str, Any]:
    """Everything that status shows; raises PermissionError for another user's state directory."""
    report = NodeReport.read(place)
    facts = report.facts
    processes = [_parent(report), *facts.get("processes", [])] if report.alive else []
    tasks = [task for one in _supervisords(place) for task in _tasks(one)]
    measured = _measure([one["pid"] for one in [*processes, *tasks] if one["pid"]])
    state, reason = _state(report)
    quorum: dict[str, str] = next((one["facts"] for one in processes if one["name"] == "etcd"), {})
    if state == "ready" and quorum.get("quorum", "").startswith("none"):
        away = quorum.get("away", "")
        state, reason = "degraded", _NO_QUORUM + (f" ({away} cannot be reached)" if away else "")
    return {
        "state": state,
        "reason": reason,
        "node": {
            "id": facts.get("node_id", ""),
            "cluster_id": facts.get("cluster_id", ""),
            "role": facts.get("role", ""),
            **_leadership(facts if report.alive else {}),
        },
        "quorum": quorum,
        "control_api": facts.get("control_api", ""),
        "state_dir": str(place.root),
        "processes": [_row(one, measured) for one in processes],
        "tasks": [_row(one, measured) for one in tasks],
    }


def _state(report: NodeReport) -> tuple[str, str]:
    """What the parent says of itself, and why where it is not ready."""
    if not report.alive:
        return "stopped", ""
    if report.ready:
        return "ready", ""
    return report.facts.get("phase", "degraded"), report.facts.get("reason", "")


def _parent(report: NodeReport) -> dict[str, Any]:
    since = report.facts.get("started")
    return {"name": "swarmd", "state": "RUNNING", "pid": report.pid, "since": since, "restarts": 0}


def _supervisords(place: StateDir) -> list[sv.Supervisord]:
    paths = (supervisord_socket(place.root), place.own_supervisord_socket)
    return [one for path in paths if (one := sv.Supervisord(path)).answers()]


def _tasks(supervisord: sv.Supervisord) -> list[dict[str, Any]]:
    return [
        {
            "name": f"{info['group']}:{info['name']}",
            "state": info["statename"],
            "pid": info["pid"],
            "since": info["start"] or None,
            "restarts": 0,
            "reason": "" if info["pid"] else info["description"],
        }
        for info in supervisord.tasks()
    ]


def _row(one: dict[str, Any], measured: dict[int, tuple[float, int]]) -> dict[str, Any]:
    cpu, memory = measured.get(one["pid"], (None, None))
    lives = one["state"] in ("RUNNING", "STARTING", "STOPPING") and one.get("since")
    return {
        "name": one["name"],
        "state": one["state"],
        "pid": one["pid"] or None,
        "uptime_seconds": round(time.time() - one["since"], 1) if lives else None,
        "restarts": one.get("restarts", 0),
        "cpu_percent": cpu,
        "memory_bytes": memory,
        "reason": one.get("reason") or "",
    }


def _measure(pids: list[int]) -> dict[int, tuple[float, int]]:
    """CPU in percent of a core over a short while, and resident bytes, by process id."""
    processes = {}
    for pid in pids:
        try:
            processes[pid] = psutil.Process(pid)
            processes[pid].cpu_percent()
        except psutil.Error:
            processes.pop(pid, None)
    time.sleep(_CPU_SECONDS if processes else 0)
    found = {}
    for pid, process in processes.items():
        try:
            found[pid] = (process.cpu_percent(), process.memory_info().rss)
        except psutil.Error:
            continue  # it ended while we measured: its row says so next time
    return found


def _leadership(facts: dict[str, Any]) -> dict[str, Any]:
    """What only the manager knows; `manager` says why where it does not answer."""
    path = facts.get("control_api")
    if not path or facts.get("role") != "manager":
        return {}
    try:
        node, held = asyncio.run(_own_node(Path(path), facts.get("node_id", "")))
    except (SwarmError, grpc.RpcError, TimeoutError) as error:
        reason = error.details() if isinstance(error, grpc.aio.AioRpcError) else str(error)
        within = f"nothing within {_API_SECONDS:g} s"
        return {"leader": None, "manager": f"does not answer: {reason or within}"}
    return {
        "hostname": node.description.hostname,
        "leader": node.manager_status.leader,
        "availability": api.NodeSpec.Availability.Name(node.spec.availability).lower(),
        "held": held,
    }


async def _own_node(path: Path, node_id: str) -> tuple[api.Node, list[str]]:
    """The node as its manager knows it; and the services of the cluster that are held."""
    async with asyncio.timeout(_API_SECONDS), await dial_control(path) as channel:
        control: Any = ControlStub(channel)
        node = (await control.GetNode(api.GetNodeRequest(node_id=node_id))).node
        return node, [line async for line in _held(channel, control)]


async def _held(channel: grpc.aio.Channel, control: Any) -> AsyncIterator[str]:
    governor: Any = GovernorStub(channel)
    reply = await governor.ListBreakers(ListBreakersRequest())
    for one in reply.breakers[:_MOST_HELD]:
        service = (await control.GetService(api.GetServiceRequest(service_id=one.id))).service
        yield f"{service.spec.annotations.name} is {breakers.sentence(one, time.time())}"
    if len(reply.breakers) > _MOST_HELD:
        yield f"and {len(reply.breakers) - _MOST_HELD} more services"


def _watch(place: StateDir) -> None:
    with Live(_page(gather(place)), console=_console(), auto_refresh=False) as live:
        while True:
            time.sleep(_WATCH_SECONDS)
            live.update(_page(gather(place)), refresh=True)


def _console() -> Console:
    """As wide as the terminal; a pipe gets every line whole."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def _print(facts: dict[str, Any]) -> None:
    console = _console()
    with console.capture() as captured:
        console.print(_page(facts))
    # A table pads its last column, which a pipe would carry along.
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()), color=True)


def _page(facts: dict[str, Any]) -> Group:
    node = facts["node"]
    role = node["role"] + (", leader" if node.get("leader") else "")
    head = Table.grid(padding=(0, 2))
    state = Text(facts["state"], style=_STYLES.get(facts["state"], ""))
    pairs = {
        "state": state if not facts["reason"] else Text.assemble(state, f": {facts['reason']}"),
        "node": " ".join(filter(None, (node["id"], node.get("hostname", "")))),
        "role": ", ".join(filter(None, (role, node.get("availability", "")))),
        "manager": node.get("manager", ""),
        "quorum": _quorum(facts["quorum"]),
        "held": "\n".join(node.get("held", ())),
        "control": facts["control_api"],
        "state dir": facts["state_dir"],
    }
    for name, value in pairs.items():
        if value:
            head.add_row(name, value)
    parts: list[Any] = [head]
    for title in ("processes", "tasks"):
        if facts[title]:
            parts += ["", _table(title, facts[title])]
    return Group(*parts)


def _quorum(facts: dict[str, str]) -> str:
    """The part that this manager's etcd has, and how it is, in a line."""
    shown = dict(facts)
    part = shown.pop("quorum", "")
    return "; ".join(
        filter(None, (part, *(f"{name} {value}" for name, value in shown.items() if value)))
    )


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(_HEADINGS[title], overflow="fold")
    for name in ("STATE", "PID", "UPTIME", "RESTARTS", "CPU", "MEMORY", ""):
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(
            row["name"],
            Text(row["state"], style=_STYLES.get(row["state"], "")),
            str(row["pid"] or "-"),
            _duration(row["uptime_seconds"]),
            str(row["restarts"]),
            "-" if row["cpu_percent"] is None else f"{row['cpu_percent']:.1f} %",
            "-" if row["memory_bytes"] is None else f"{row['memory_bytes'] / _MEBIBYTE:.1f} MiB",
            row["reason"],
        )
    return table


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return (f"{days} d " if days else "") + f"{hours}:{minutes:02}:{rest:02}"
