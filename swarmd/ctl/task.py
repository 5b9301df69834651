"""swarmctl task: what runs where, since when, and why not."""

from collections.abc import Iterable
from typing import Any

import click

from swarmd import api
from swarmd.ctl import docker_objects
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.complete import arguments
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.filtering import filter_option, filtered
from swarmd.ctl.formats import inspect_format_option, list_format_option, show_list, show_objects
from swarmd.ctl.output import ago, quiet_option, show_page, state
from swarmd.ctl.ps import FILTERS, Named
from swarmd.ctl.resolve import Names, list_all, name_of, resolve, tasks_of
from swarmd.ctl.service_logs import logs_options, show_logs

_State = api.TaskState
_SHOWN_ERROR = 60
_TITLES = {
    "ID": "ID",
    "Name": "TASK",
    "Image": "IMAGE",
    "DesiredState": "DESIRED STATE",
    "CurrentState": "LAST STATE",
    "Node": "NODE",
    "Error": "ERROR",
}


@click.group(cls=AliasedGroup)
def task() -> None:
    """Task management"""


@task.command(
    examples="""
    swarmctl task ls --all
    swarmctl task ls --filter node=worker1 --format '{{.Name}} {{.CurrentState}}'
    """
)
@click.option(
    "-a", "--all", "all_tasks", is_flag=True, help="Show all tasks, not just those that run"
)
@filter_option(FILTERS)
@quiet_option
@list_format_option
@with_control
async def ls(
    control: Control, all_tasks: bool, filters: tuple[str, ...], quiet: bool, form: str
) -> None:
    """List tasks"""
    tasks = _wanted(await list_all(control, "task"), all_tasks=all_tasks)
    if filters:
        names = Names(control)
        nodes, services = await names.of("node"), await names.of("service")
        named = [Named(one, services, nodes) for one in tasks]
        tasks = [one.task for one in filtered(named, filters, FILTERS)]
    await show_tasks(control, tasks, all_tasks=True, form=form, quiet=quiet)


async def show_tasks(
    control: Control,
    tasks: Iterable[api.Task],
    *,
    all_tasks: bool,
    form: str = "table",
    quiet: bool = False,
) -> None:
    """The table of tasks that every noun shows: by service and slot, the newest first."""
    found, names = _wanted(tasks, all_tasks=all_tasks), Names(control)
    nodes = {} if quiet else await names.of("node")
    services = {} if quiet else await names.of("service")
    rows = [_row(one, nodes, services) for one in found]
    show_list(form, _TITLES, rows, found=found, quiet=quiet)


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


def _row(one: api.Task, nodes: dict[str, str], services: dict[str, str]) -> dict[str, Any]:
    service = services.get(one.service_id, one.service_id)
    return {
        "ID": one.id,
        "Name": f"{service}.{one.slot or one.node_id}",
        "Image": one.spec.container.image,
        "DesiredState": _State.Name(one.desired_state),
        "CurrentState": state(_State.Name(one.status.state), ago(one.status.timestamp)),
        "Node": nodes.get(one.node_id, one.node_id),
        "Error": _short(one.status.err),
    }


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_ERROR else line[: _SHOWN_ERROR - 1] + "…"


@task.command(examples="swarmctl task inspect web.1")
@click.argument("names", metavar="TASK...", **arguments("task"))
@inspect_format_option
@with_control
async def inspect(control: Control, names: tuple[str, ...], form: str, pretty: bool) -> None:
    """Inspect tasks, and those before them in their slots"""
    found = [await resolve(control, "task", name) for name in names]
    if not pretty and form != "pretty":
        show_objects(form, [docker_objects.task(one) for one in found], found)
        return
    for one in found:
        show_page(await _page(control, one))
        await _show_siblings(control, one)


async def _show_siblings(control: Control, one: api.Task) -> None:
    if not one.service_id:
        return
    tasks = await tasks_of(control, service_ids=[one.service_id])
    siblings = [each for each in tasks if _place(each) == _place(one)]
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
@click.argument("names", metavar="TASK...", **arguments("task"))
@with_control
async def remove(control: Control, names: tuple[str, ...]) -> None:
    """Remove tasks"""
    for name in names:
        found = await resolve(control, "task", name)
        await control.api.RemoveTask(api.RemoveTaskRequest(task_id=found.id))
        click.echo(found.id)


@task.command()
@click.argument("names", metavar="TASK...", **arguments("task"))
@logs_options
@with_control
async def logs(control: Control, names: tuple[str, ...], **flags: Any) -> int:
    """Show what tasks print"""
    return await show_logs(control, ["task"], names, **flags)
