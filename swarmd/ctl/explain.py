"""swarmctl explain: why a task, a service or a node is as it is."""

import asyncio
import json
import time
from typing import Any, Final

import click
from google.protobuf.message import Message

from swarmd import api
from swarmd.api.protos.explain_pb2 import (
    ExplainNodeRequest,
    ExplainServiceRequest,
    ExplainTaskRequest,
    Placement,
)
from swarmd.api.protos.journal_pb2 import ListJournalRequest, ListJournalResponse
from swarmd.ctl import explain_page
from swarmd.ctl.aliases import SwarmCommand
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.held import held_of
from swarmd.ctl.output import show_page, show_table, to_dict
from swarmd.ctl.resolve import Names, name_of, resolve
from swarmd.errors import InvalidArgumentError, NotFoundError

_KINDS: Final = ("service", "node", "task")


@click.command(
    cls=SwarmCommand,
    examples="""
    swarmctl explain web
    swarmctl explain web.3 --all-nodes
    swarmctl explain node-7 --format json
    """,
)
@click.argument("name", metavar="TASK|SERVICE|NODE")
@click.option("--kind", type=click.Choice(_KINDS), help="What the name means, where it is unclear")
@click.option("--all-nodes", is_flag=True, help="Up to 1000 nodes in the table, and not 20")
@click.option("--last", default=20, show_default=True, metavar="N", help="So many decisions")
@click.option(
    "--format", "form", type=click.Choice(("table", "json")), default="table", help="table, or json"
)
@with_control
async def explain(
    control: Control, name: str, *, kind: str | None, all_nodes: bool, last: int, form: str
) -> None:
    """Explain why a task waits, was restarted, moved or stopped; or why a node has no tasks

    For what waits, each of the scheduler's filters is asked about each node. What was decided
    before is in the manager's journal.
    """
    kind, one = await _subject(control, name, kind)
    most = 1000 if all_nodes else 20
    found, held, journal = await asyncio.gather(
        _ask(control, kind, one, most),
        _held(control, kind, one),
        _journal(control, kind, one, last),
    )
    if form == "json":
        facts = {kind: one, "explanation": found, "held": held, "journal": journal}
        click.echo(json.dumps({k: _plain(v) for k, v in facts.items()}, indent=2))
        return
    nodes = await Names(control).of("node")
    if kind == "task":
        _show_task(one, found, held, nodes)
    elif kind == "service":
        _show_service(one, found, held)
    else:
        _show_node(one, found)
    _show_journal(journal, nodes)


async def _subject(control: Control, name: str, kind: str | None) -> tuple[str, Any]:
    """Which kind of object that is, and the object; an exact name or id goes before a prefix."""
    found: list[tuple[str, Any]] = []
    for each in (kind,) if kind else _KINDS:
        try:
            one = await resolve(control, each, name)
        except NotFoundError:
            continue
        if name in (one.id, name_of(one)):
            return each, one
        found.append((each, one))
    if not found:
        raise NotFoundError(kind or "task, service or node", name)
    if len(found) > 1:
        kinds = " and ".join(each for each, _ in found)
        raise InvalidArgumentError(f"{name} begins the id of a {kinds}: give --kind, or more of it")
    return found[0]


async def _ask(control: Control, kind: str, one: Any, most: int) -> Any:
    if kind == "task":
        of_task = ExplainTaskRequest(task_id=one.id, max_nodes=most)
        return await control.explain.ExplainTask(of_task)
    if kind == "service":
        of_service = ExplainServiceRequest(service_id=one.id, max_nodes=most)
        return await control.explain.ExplainService(of_service)
    return await control.explain.ExplainNode(ExplainNodeRequest(node_id=one.id))


async def _held(control: Control, kind: str, one: Any) -> str:
    service_id = {"task": lambda: one.service_id, "service": lambda: one.id}.get(kind, str)()
    return (await held_of(control, [service_id] if service_id else [])).get(service_id, "")


async def _journal(control: Control, kind: str, one: Any, last: int) -> ListJournalResponse:
    request = ListJournalRequest(**{f"{kind}_id": one.id}, limit=max(1, last))
    reply: ListJournalResponse = await control.journal.ListJournal(request)
    return reply


def _plain(value: Message | str) -> Any:
    return value if isinstance(value, str) else to_dict(value)


def _show_task(one: api.Task, found: Any, held: str, nodes: explain_page.Names) -> None:
    why = explain_page.why_now(one, found.placement, held, time.time())
    node = nodes.get(one.node_id, one.node_id)
    show_page(explain_page.task_page(one, name_of(one), node, why))
    if found.waits:
        _show_verdicts(found.placement)


def _show_service(one: api.Service, found: Any, held: str) -> None:
    show_page(explain_page.service_page(one, found, held))
    for kind in found.waiting:
        why = kind.reason or "a node fits: they are placed with the scheduler's next turn"
        click.echo(f"\n{kind.alike} waiting, such as {kind.task_id}: {why}")
        _show_verdicts(kind)


def _show_node(one: api.Node, found: Any) -> None:
    show_page(explain_page.node_page(one, found))
    if found.shares:
        click.echo()
        show_table(("service", "tasks", "CPU", "memory"), explain_page.share_rows(found))
    if found.waiting:
        click.echo("\nWaiting tasks that this node cannot take:")
        show_table(("tasks", "such as", "why not here"), explain_page.refused_rows(found))


def _show_verdicts(placement: Placement) -> None:
    if placement.nodes:
        click.echo()
        show_table(*explain_page.verdict_table(placement))
    if more := explain_page.left_out(placement):
        click.echo(more)


def _show_journal(journal: ListJournalResponse, nodes: explain_page.Names) -> None:
    if not journal.entries:
        return
    click.echo("\nDecisions, the newest last:" if journal.more else "\nDecisions:")
    rows = explain_page.journal_rows(journal.entries, nodes)
    show_table(("when", "what", "about", "why"), rows)
