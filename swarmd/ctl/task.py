"""swarmctl task: what runs where, since when, and why not."""

from collections.abc import Iterable
from typing import Any

import click

from swarmd import api
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.output import (
    ago,
    format_option,
    quiet_option,
    show_json,
    show_page,
    show_table,
    state,
)
from swarmd.ctl.resolve import Names, list_all, name_of, resolve
from swarmd.ctl.service_logs import logs_options, show_logs

_State = api.TaskState
_SHOWN_ERROR = 60
_COLUMNS = ("ID", "Task", "Image", "Desired State", "Last State", "Node", "Error")


@click.group(cls=AliasedGroup)
def task() -> None:
    """Task management"""


@task.command()
@click.option(
    "-a", "--all", "all_tasks", is_flag=True, help="Show all tasks, not just those that run"
)
@quiet_option
@format_option
@with_control
async def ls(control: Control, all_tasks: bool, quiet: bool, form: str) -> None:
    """List tasks"""
    tasks = _wanted(await list_all(control, "task"), all_tasks=all_tasks)
    if quiet:
        click.echo("\n".join(one.id for one in tasks))
    elif form == "json":
        show_json(tasks)
    else:
        await show_tasks(control, tasks, all_tasks=True)


async def show_tasks(control: Control, tasks: Iterable[api.Task], *, all_tasks: bool) -> None:
    """The table of tasks that every noun shows: by service and slot, the newest first."""
    names = Names(control)
    nodes, services = await names.of("node"), await names.of("service")
    rows = [_row(one, nodes, services) for one in _wanted(tasks, all_tasks=all_tasks)]
    show_table(_COLUMNS, rows)


def _wanted(tasks: Iterable[api.Task], *, all_tasks: bool) -> list[api.Task]:
    shown = [one for one in tasks if all_tasks or one.desired_state <= _State.RUNNING]
    return sorted(shown, key=_order)


def _order(one: api.Task) -> tuple[Any, ...]:
    created = one.meta.created_at
    place = (
        one.service_annotations.name,
        one.service_id,
        one.slot,
        one.node_id if not one.slot else "",
    )
    return (*place, -created.seconds, -created.nanos)


def _row(one: api.Task, nodes: dict[str, str], services: dict[str, str]) -> tuple[Any, ...]:
    service = services.get(one.service_id, one.service_id)
    return (
        one.id,
        f"{service}.{one.slot or one.node_id}",
        one.spec.container.image,
        _State.Name(one.desired_state),
        state(_State.Name(one.status.state), ago(one.status.timestamp)),
        nodes.get(one.node_id, one.node_id),
        _short(one.status.err),
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_ERROR else line[: _SHOWN_ERROR - 1] + "…"


@task.command()
@click.argument("name", metavar="TASK")
@format_option
@with_control
async def inspect(control: Control, name: str, form: str) -> None:
    """Inspect a task, and those before it in its slot"""
    found = await resolve(control, "task", name)
    if form == "json":
        show_json(found)
        return
    show_page(await _page(control, found))
    if not found.service_id:
        return
    filters = api.ListTasksRequest.Filters(service_ids=[found.service_id])
    reply = await control.api.ListTasks(api.ListTasksRequest(filters=filters))
    siblings = [one for one in reply.tasks if _place(one) == _place(found)]
    if len(siblings) > 1:
        click.echo("\nTasks of the same slot:")
        await show_tasks(control, siblings, all_tasks=True)


def _place(one: api.Task) -> tuple[int, str]:
    return one.slot, "" if one.slot else one.node_id


async def _page(control: Control, one: api.Task) -> dict[str, Any]:
    nodes = await Names(control).of("node")
    status, container = one.status, one.status.container
    spec = one.spec.container
    return {
        "ID": one.id,
        "Name": name_of(one),
        "Slot": one.slot or None,
        "Status": {
            "Desired State": _State.Name(one.desired_state),
            "Last State": state(_State.Name(status.state)),
            "Timestamp": status.timestamp.ToJsonString() if status.timestamp.seconds else "",
            "Message": status.message,
            "Error": status.err,
            "ContainerID": container.container_id,
            "Pid": container.pid or None,
            "ExitCode": str(container.exit_code) if status.state > _State.RUNNING else None,
            "Ports": [
                f"0.0.0.0:{port.published_port}->{port.target_port}/"
                f"{api.PortConfig.Protocol.Name(port.protocol).lower()}"
                for port in status.port_status.ports
            ],
        },
        "Node": nodes.get(one.node_id, one.node_id),
        "Spec": {
            "Image": spec.image,
            "Command": " ".join(spec.command),
            "Args": list(spec.args),
            "Env": list(spec.env),
            "Secrets": [f"{ref.secret_name}:{ref.file.name}" for ref in spec.secrets],
            "Configs": [f"{ref.config_name}:{ref.file.name}" for ref in spec.configs],
        },
    }


@task.command()
@click.argument("names", metavar="TASK...", nargs=-1, required=True)
@with_control
async def remove(control: Control, names: tuple[str, ...]) -> None:
    """Remove tasks"""
    for name in names:
        found = await resolve(control, "task", name)
        await control.api.RemoveTask(api.RemoveTaskRequest(task_id=found.id))
        click.echo(found.id)


@task.command()
@click.argument("names", metavar="TASK...", nargs=-1, required=True)
@logs_options
@with_control
async def logs(control: Control, names: tuple[str, ...], **flags: Any) -> int:
    """Show what tasks print"""
    return await show_logs(control, "task", names, **flags)
