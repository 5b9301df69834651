"""swarmctl stack: services, networks, secrets and configs of a compose file, as one."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from swarmd import api
from swarmd.api import images
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.compose.objects import NAMESPACE
from swarmd.ctl.compose.project import Project, Surroundings, load, read_file
from swarmd.ctl.compose.reading import MOST_BYTES
from swarmd.ctl.compose.stack import Stack, stack_of
from swarmd.ctl.compose.writing import write
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.converge import changes, converge_all
from swarmd.ctl.filtering import filter_option, filtered
from swarmd.ctl.formats import list_format_option, show_list
from swarmd.ctl.output import quiet_option
from swarmd.ctl.ps import ps_options, show_ps
from swarmd.ctl.references import registry_login
from swarmd.ctl.resolve import list_labelled, tasks_of
from swarmd.ctl.rows import natural
from swarmd.ctl.service import FILTERS, show_services
from swarmd.ctl.stack_deploy import KINDS, deploy, find, remove
from swarmd.ctl.values import Strings, flat
from swarmd.errors import SwarmError

Command = Callable[..., Any]
_STDIN: Final = "-"
_ALIASES: Final = {"up": "deploy", "down": "remove"}
_TITLES: Final = {"Name": "NAME", "Services": "SERVICES"}
_files_option: Final = click.option(
    "-c",
    "--compose-file",
    "files",
    type=Strings(),
    multiple=True,
    required=True,
    help="Compose file, or - for standard input; may be given again, the later over the earlier",
)


def _waiting_options(*, detached: bool, about: str) -> Callable[[Command], Command]:
    detach = click.option("-d", "--detach/--no-detach", default=detached, help=about)
    timeout = click.option(
        "--timeout",
        "most_seconds",
        type=click.FloatRange(min=0, min_open=True),
        help="Longest time to wait, in seconds (default: as long as it takes)",
    )
    return lambda command: detach(timeout(command))


class _StackGroup(AliasedGroup):
    """With the words of those who come from Compose."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, _ALIASES.get(cmd_name, cmd_name))


@click.group(cls=_StackGroup)
def stack() -> None:
    """Stack management: compose files, deployed"""


@stack.command(
    "deploy",
    examples="""
    swarmctl stack deploy -c compose.yml shop
    swarmctl stack deploy -c compose.yml -c compose.production.yml --prune shop
    """,
)
@click.argument("name", metavar="STACK")
@_files_option
@click.option("--prune", is_flag=True, help="Remove services that the files do not have any more")
@click.option(
    "--with-registry-auth",
    is_flag=True,
    help="Give the nodes what your docker config has for the images' registries",
)
@click.option(
    "--resolve-image",
    type=click.Choice(("always", "changed", "never")),
    default="always",
    help="Taken for Docker's sake: each node asks the registry itself",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors and warnings")
@_waiting_options(detached=False, about="Do not wait until the services are as asked")
@with_control
async def deploy_command(
    control: Control,
    name: str,
    files: tuple[tuple[str, ...], ...],
    *,
    prune: bool,
    with_registry_auth: bool,
    resolve_image: str,
    quiet: bool,
    detach: bool,
    most_seconds: float | None,
) -> int:
    """Make a stack so, new or there already, and wait until its services run"""
    del resolve_image
    wanted = await asyncio.to_thread(_read_stack, name, flat(files))
    for notice in wanted.notices:
        click.echo(f"warning: {notice}", err=True)
    credentials: dict[str, str] = {}
    if with_registry_auth:
        used = {spec.task.container.image for spec in wanted.services.values()}
        for image in filter(lambda one: not images.is_host(one), used):
            credentials[image] = await asyncio.to_thread(registry_login, image)
    say = (lambda _: None) if quiet else click.echo
    services = await deploy(control, wanted, prune=prune, credentials=credentials, say=say)
    return 0 if detach else await converge_all(control, services, most_seconds, quiet=quiet)


def _read_stack(name: str, files: list[str]) -> Stack:
    around = _surroundings(files)
    return stack_of(name, _read_project(files, around), around)


def _surroundings(files: list[str]) -> Surroundings:
    """Paths count from the first file's directory; from this one for standard input."""
    first = Path.cwd() if files[0] == _STDIN else Path(files[0]).absolute().parent
    return Surroundings(first, os.environ, read_file)


def _read_project(files: list[str], around: Surroundings, *, interpolate: bool = True) -> Project:
    contents = []
    for file in files:
        try:
            data = _read_stdin() if file == _STDIN else read_file(Path(file))
        except OSError as error:
            raise SwarmError(f"cannot read {file}: {error.strerror}") from error
        contents.append(("standard input" if file == _STDIN else file, data))
    return load(contents, around, interpolate=interpolate)


def _read_stdin() -> bytes:
    return sys.stdin.buffer.read(MOST_BYTES + 1)


@stack.command(
    examples="swarmctl stack config -c compose.yml -c compose.production.yml | "
    "swarmctl stack deploy -c - shop"
)
@_files_option
@click.option("--skip-interpolation", is_flag=True, help="Leave variables as they are written")
def config(files: tuple[tuple[str, ...], ...], *, skip_interpolation: bool) -> None:
    """Show the files as one, merged and filled in"""
    names = flat(files)
    try:
        project = _read_project(names, _surroundings(names), interpolate=not skip_interpolation)
    except SwarmError as error:
        raise click.ClickException(str(error)) from error
    for notice in project.notices:
        click.echo(f"warning: {notice}", err=True)
    click.echo(write(project.value, escape=not skip_interpolation), nl=False)


@stack.command()
@list_format_option
@with_control
async def ls(control: Control, form: str) -> None:
    """List stacks"""
    found = await list_labelled(control, "service", {NAMESPACE: ""})
    counts = Counter(one.spec.annotations.labels[NAMESPACE] for one in found)
    rows = [{"Name": name, "Services": str(counts[name])} for name in sorted(counts, key=natural)]
    show_list(form, _TITLES, rows)


@stack.command("ps")
@click.argument("name", metavar="STACK")
@ps_options
@with_control
async def ps_command(control: Control, name: str, **flags: Any) -> None:
    """List the tasks of a stack"""
    services = await find(control, "service", name)
    service_ids = [one.id for one in services.values()]
    tasks = await tasks_of(control, service_ids=service_ids) if service_ids else []
    if not tasks:
        raise SwarmError(f"nothing found in stack: {name}")
    await show_ps(control, tasks, **flags)


@stack.command("services")
@click.argument("name", metavar="STACK")
@filter_option(FILTERS)
@quiet_option
@list_format_option
@with_control
async def services_command(
    control: Control, name: str, filters: tuple[str, ...], quiet: bool, form: str
) -> None:
    """List the services of a stack"""
    found = await find(control, "service", name)
    if not found:
        click.echo(f"Nothing found in stack: {name}", err=True)
        return
    wanted = filtered(list(found.values()), filters, FILTERS)
    await show_services(control, wanted, form=form, quiet=quiet)


@stack.command("remove")
@click.argument("names", metavar="STACK...", nargs=-1, required=True)
@_waiting_options(detached=True, about="Do not wait until the tasks have ended")
@with_control
async def remove_command(
    control: Control, names: tuple[str, ...], *, detach: bool, most_seconds: float | None
) -> int:
    """Remove stacks: services, secrets, configs and networks"""
    status = 0
    for name in names:
        found = {kind: await find(control, kind, name) for kind in KINDS}
        if not any(found.values()):
            click.echo(f"Nothing found in stack: {name}", err=True)
        for kind in KINDS:
            for _, one in sorted(found[kind].items()):
                status |= await _remove(control, kind, one)
        service_ids = [one.id for one in found["service"].values()]
        if service_ids and not detach:
            status |= await _wait_ended(control, service_ids, most_seconds)
    return status


async def _remove(control: Control, kind: str, one: Any) -> int:
    """One that cannot be removed does not keep the others."""
    try:
        await remove(control, kind, one, click.echo)
    except SwarmError as error:
        click.echo(str(error), err=True)
        return 1
    return 0


async def _wait_ended(control: Control, service_ids: list[str], most_seconds: float | None) -> int:
    running: list[api.Task] = []
    try:
        async with asyncio.timeout(most_seconds), changes(control, service_ids) as changed:
            while True:
                changed.clear()
                found = await tasks_of(control, service_ids=service_ids)
                running = [one for one in found if one.status.state <= api.TaskState.RUNNING]
                if not running:
                    return 0
                await changed.wait()
    except TimeoutError:
        click.echo(f"{len(running)} tasks have not ended after {most_seconds:g} s", err=True)
        return 1
