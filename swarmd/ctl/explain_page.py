"""What `swarmctl explain` shows, out of what the manager answered (pure)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from swarmd import api
from swarmd.api import labels, services, tasks
from swarmd.api.protos.explain_pb2 import (
    ExplainNodeResponse,
    ExplainServiceResponse,
    NodeVerdict,
    Placement,
)
from swarmd.api.protos.journal_pb2 import JournalEntry
from swarmd.ctl.output import ago, size, state

_State = api.TaskState
_NANO: Final = 10**9
_SHORT_ID: Final = 12
Names = Mapping[str, str]  # of nodes, by id


def task_page(task: api.Task, name: str, node: str, now_: str) -> dict[str, Any]:
    """`now_` is why it is as it is."""
    return {
        "Task": name,
        "ID": task.id,
        "State": state(tasks.state_name(task.status.state), ago(task.status.timestamp)),
        "Desired State": tasks.state_name(task.desired_state),
        "Node": node,
        "Why": now_,
        "Message": task.status.message,
        "Error": task.status.err,
    }


def why_now(task: api.Task, placement: Placement, held: str, now: float) -> str:
    """In one sentence, why the task is in the state that it has."""
    current = task.status.state
    if tasks.is_terminal(task) or current == _State.RUNNING:
        return ""
    if not tasks.is_wanted_job(task):
        return "it is to run no more"
    if current == _State.NEW:
        return "its ports and networks are not allocated yet"
    if current == _State.PENDING:
        return placement.reason or "a node fits: it is placed with the scheduler's next turn"
    if task.desired_state == _State.READY:
        return held or _delay(task, now)
    return "its node brings it up"


def _delay(task: api.Task, now: float) -> str:
    delay = float(task.annotations.labels.get(labels.RESTART_DELAY, 0))
    left = tasks.created(task) + delay - now
    if left > 0:
        return f"it starts in {left:.0f} s, by its service's restart policy"
    return "it starts when the task before it in its slot has stopped"


def service_page(service: api.Service, found: ExplainServiceResponse, held: str) -> dict[str, Any]:
    update = service.update_status
    return {
        "Service": service.spec.annotations.name,
        "ID": service.id,
        "Mode": services.mode(service).replace("_", " "),
        "Tasks": ", ".join(_counts(found)) or "none",
        "Held": held.removeprefix("held: "),
        "Update": update.message if service.HasField("update_status") else "",
    }


def _counts(found: ExplainServiceResponse) -> Iterable[str]:
    for one in found.counts:
        wanted = one.desired_state <= _State.COMPLETE
        told = tasks.state_name(one.state)
        if wanted and one.desired_state != one.state:
            told += f" (to be {tasks.state_name(one.desired_state)})"
        yield f"{one.count} {told}" if wanted else f"{one.count} {told} (past)"


def node_page(node: api.Node, found: ExplainNodeResponse) -> dict[str, Any]:
    status = api.NodeStatus.State.Name(node.status.state)
    return {
        "Node": node.description.hostname,
        "ID": node.id,
        "State": state(status, node.status.message),
        "Availability": api.NodeSpec.Availability.Name(node.spec.availability),
        "New Tasks": f"none: {found.closed}" if found.closed else "as far as they fit",
        "Reserved": {
            "CPU": _reserved(found.nano_cpus, found.free_nano_cpus, _cpus),
            "Memory": _reserved(found.memory_bytes, found.free_memory_bytes, size),
        },
        "Host Ports": list(found.host_ports),
    }


def _reserved(all_: int, free: int, show: Any) -> str:
    full = ", full" if free <= 0 < all_ else ""
    return f"{show(all_ - free)} of {show(all_)}{full}"


def _cpus(nano: int) -> str:
    return f"{nano / _NANO:g}"


def share_rows(found: ExplainNodeResponse) -> list[tuple[Any, ...]]:
    """Service, tasks, and what these reserve."""
    return [
        (one.service_name, one.tasks, _cpus(one.nano_cpus), size(one.memory_bytes))
        for one in found.shares
    ]


def verdict_table(placement: Placement) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows: a node, what each filter says, and by what it decided."""
    first = placement.nodes[0].filters if placement.nodes else ()
    names = [each.filter for each in first]
    rows = [
        [one.hostname, *(_verdict(each.passes) for each in one.filters), details(one)]
        for one in placement.nodes
    ]
    return ["node", *names, "why not"], rows


def _verdict(passes: bool) -> Text:
    return Text("ok", style="green") if passes else Text("no", style="red")


def details(one: NodeVerdict) -> str:
    """What refuses the node, in the filters' own numbers and names."""
    return "; ".join(each.detail or each.filter for each in one.filters if not each.passes)


def left_out(placement: Placement) -> str:
    """A line for the nodes that the table has no room for."""
    more = placement.node_count - len(placement.nodes)
    return f"… and {more} more nodes" if more > 0 else ""


def refused_rows(found: ExplainNodeResponse) -> list[tuple[Any, ...]]:
    """Waiting tasks that the node could not take: so many, one of them, and by what."""
    return [
        (one.alike, one.task_id[:_SHORT_ID], details(one.nodes[0]) if one.nodes else one.reason)
        for one in found.waiting
    ]


def journal_rows(entries: Sequence[JournalEntry], nodes: Names) -> list[tuple[Any, ...]]:
    """When, what, about whom, and why; the oldest first."""
    return [(ago(one.at), one.what, _about(one, nodes), one.why) for one in entries]


def _about(entry: JournalEntry, nodes: Names) -> str:
    if not entry.task_count:
        return entry.service_name or nodes.get(entry.node_id, entry.node_id)
    if entry.task_count > 1:
        return f"{entry.task_count} tasks of {entry.service_name or 'no service'}"
    (one,) = entry.tasks
    name = f"{entry.service_name}.{one.slot}" if one.slot else entry.service_name
    place = f" on {nodes.get(one.node_id, one.node_id)}" if one.node_id else ""
    after = f", then {one.successor_id[:_SHORT_ID]}" if one.successor_id else ""
    return f"{name} {one.id[:_SHORT_ID]}{place}{after}"
