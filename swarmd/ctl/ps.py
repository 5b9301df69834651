"""Tasks as `docker service ps` shows them: the newest of each slot, those before it below."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import click

from swarmd import api
from swarmd.api import tasks as questions
from swarmd.ctl.connection import Control
from swarmd.ctl.filtering import Test, filter_option, filtered, has_label, is_id
from swarmd.ctl.formats import list_format_option, show_list
from swarmd.ctl.output import ago, quiet_option, state
from swarmd.ctl.resolve import Names
from swarmd.ctl.rows import natural, ports_of, short_image

_TITLES: Final = {
    "ID": "ID",
    "Name": "NAME",
    "Image": "IMAGE",
    "Node": "NODE",
    "DesiredState": "DESIRED STATE",
    "CurrentState": "CURRENT STATE",
    "Error": "ERROR",
    "Ports": "PORTS",
}
_SHORT_ID: Final = 12
_SHORT_ERROR: Final = 30
_BEFORE: Final = r" \_ "


class Named:
    """A task, and what it and its node are called; filters look at it."""

    def __init__(
        self, task: api.Task, services: Mapping[str, str], nodes: Mapping[str, str]
    ) -> None:
        self.task = task
        self.id = task.id
        service = services.get(task.service_id, task.service_id)
        self.name = f"{service}.{task.slot or task.node_id}"
        self.node = nodes.get(task.node_id, task.node_id)

    def order(self) -> Any:
        created = self.task.meta.created_at
        return natural(self.name), -created.seconds, -created.nanos


def _is_named(one: Named, wanted: str) -> bool:
    """web.1 is that slot, web every task with that in its name."""
    if "." in wanted:
        return wanted in (one.name, f"{one.name}.{one.id}")
    return wanted in one.name


def _desires(one: Named, wanted: str) -> bool:
    if wanted.upper() not in api.TaskState.keys():  # noqa: SIM118 - an enum, no dict
        raise click.BadParameter(
            f"{wanted!r} is no state such as running, shutdown or accepted", param_hint="--filter"
        )
    return questions.state_name(one.task.desired_state) == wanted.upper()


FILTERS: Final[Mapping[str, Test]] = {
    "desired-state": _desires,
    "id": is_id,
    "label": lambda one, wanted: has_label(one.task.service_annotations.labels, wanted),
    "name": _is_named,
    "node": lambda one, wanted: bool(one.task.node_id) and wanted in (one.node, one.task.node_id),
}


def ps_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The flags of every `ps`."""
    for option in (
        filter_option(FILTERS),
        list_format_option,
        quiet_option,
        click.option("--no-trunc", is_flag=True, help="Show ids, errors and digests whole"),
        click.option("--no-resolve", is_flag=True, help="Do not map ids to names"),
    ):
        command = option(command)
    return command


async def show_ps(
    control: Control,
    tasks: Iterable[api.Task],
    *,
    form: str,
    quiet: bool = False,
    no_trunc: bool = False,
    no_resolve: bool = False,
    filters: Sequence[str] = (),
) -> None:
    """Show these tasks as the flags of `ps_options` say."""
    names = Names(control)
    services, nodes = (
        ({}, {}) if no_resolve else (await names.of("service"), await names.of("node"))
    )
    named = [Named(one, services, nodes) for one in tasks]
    wanted = sorted(filtered(named, filters, FILTERS), key=Named.order)
    indent = _BEFORE if form.startswith("table") else ""
    rows, last = [], ""
    for one in wanted:
        row = _row(one, whole=no_trunc)
        row["Name"] = f"{indent}{one.name}" if one.name == last else one.name
        rows.append(row)
        last = one.name
    show_list(form, _TITLES, rows, found=[one.task for one in wanted], quiet=quiet)


def _row(one: Named, *, whole: bool) -> dict[str, Any]:
    task, status = one.task, one.task.status
    error = status.err if whole else _short(status.err)
    image = task.spec.container.image
    return {
        "ID": one.id if whole else one.id[:_SHORT_ID],
        "Image": image if whole else short_image(image),
        "Node": one.node,
        "DesiredState": questions.state_name(task.desired_state).title(),
        "CurrentState": state(questions.state_name(status.state).title(), ago(status.timestamp)),
        "Error": f'"{error}"' if error else "",
        "Ports": ports_of(task),
    }


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHORT_ERROR else line[: _SHORT_ERROR - 1] + "…"
