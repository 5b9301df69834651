"""swarmctl volume: volumes of cluster type, made and mounted by CSI plugins."""

from collections.abc import Mapping
from typing import Any, Final

import click

from swarmd import api
from swarmd.api import volumes
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.complete import arguments, completion_of
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.filtering import BY_ANNOTATIONS, Test, filter_option, filtered
from swarmd.ctl.formats import inspect_format_option, list_format_option, show_list, show_objects
from swarmd.ctl.output import quiet_option, show_page
from swarmd.ctl.resolve import Names, list_all, resolve
from swarmd.ctl.rows import by_name
from swarmd.ctl.values import options, pairs
from swarmd.ctl.volume_spec import (
    SHOWN,
    TITLES,
    docker_object,
    fields,
    name_of_new,
    page,
    spec,
)

_FILTERS: Final[Mapping[str, Test]] = {
    **BY_ANNOTATIONS,
    "driver": lambda one, name: bool(one.spec.driver.name == name),
    "group": lambda one, name: bool(one.spec.group == name),
}
_AVAILABILITY: Final = click.Choice(tuple(volumes.AVAILABILITIES), case_sensitive=False)


@click.group(cls=AliasedGroup)
def volume() -> None:
    """Cluster volume management"""


@volume.command(
    examples="""
    swarmctl volume create --driver ebs --type mount --required-bytes 10G data
    swarmctl volume create --driver nfs --type mount --scope multi --sharing all --group web one
    """
)
@click.argument("named", metavar="[VOLUME]", required=False)
@click.option("--name", help="Volume name, if it is not given as an argument")
@click.option(
    "-d", "--driver", help="CSI plugin, by the name that its nodes' --csi-plugin gives it"
)
@click.option("-o", "--opt", multiple=True, help="Options of the plugin (key=value)")
@click.option("--label", multiple=True, help="Labels (key=value)")
@click.option(
    "--group", default="", help="Group of volumes of which any will do: source=group:NAME"
)
@click.option(
    "--type",
    type=click.Choice(("mount", "block")),
    default="block",
    show_default=True,
    help="A file system, or a block device",
)
@click.option(
    "--scope",
    type=click.Choice(tuple(volumes.SCOPES)),
    default="single",
    show_default=True,
    help="On how many nodes it can be at a time",
)
@click.option(
    "--sharing",
    type=click.Choice(tuple(volumes.SHARINGS)),
    default="none",
    show_default=True,
    help="Whether several tasks can use it, and which of them may write",
)
@click.option("--availability", type=_AVAILABILITY, default="active", show_default=True)
@click.option("--required-bytes", default="", help="Least size (e.g. 10G)")
@click.option("--limit-bytes", default="", help="Most size (e.g. 20G)")
@click.option("--secret", multiple=True, help="Secrets for the plugin (key=secret)")
@click.option(
    "--topology-required", multiple=True, help="Where it must be accessible from (key=value,…)"
)
@click.option("--topology-preferred", multiple=True, help="… and from where best (key=value,…)")
@with_control
async def create(control: Control, named: str | None, name: str | None, **flags: Any) -> None:
    """Create a cluster volume"""
    called = name_of_new(named, name, flags["driver"])
    wanted = pairs(flags["secret"], "--secret")
    secrets = {key: (await resolve(control, "secret", one)).id for key, one in wanted.items()}
    request = api.CreateVolumeRequest(spec=spec(called, flags, secrets))
    reply = await control.api.CreateVolume(request)
    click.echo(reply.volume.spec.annotations.name)


@volume.command(examples="swarmctl volume ls --filter group=web --format '{{.Name}}: {{.Status}}'")
@filter_option(_FILTERS)
@click.option(
    "--cluster",
    is_flag=True,
    expose_value=False,
    help="As docker volume ls has it: there are no others here",
)
@quiet_option
@list_format_option
@with_control
async def ls(control: Control, filters: tuple[str, ...], quiet: bool, form: str) -> None:
    """List cluster volumes"""
    found = filtered(await list_all(control, "volume"), filters, _FILTERS)
    found.sort(key=by_name)
    rows = [fields(one) for one in found]
    if quiet and form == "table":
        form = "{{.Name}}"  # Docker's volumes are known by name
    show_list(form, TITLES, rows, found=found, shown=SHOWN)


@volume.command(examples="swarmctl volume inspect data")
@click.argument("names", metavar="VOLUME...", **arguments("volume"))
@inspect_format_option
@with_control
async def inspect(control: Control, names: tuple[str, ...], form: str, pretty: bool) -> None:
    """Inspect cluster volumes"""
    found = [await resolve(control, "volume", name) for name in names]
    if not pretty and form != "pretty":
        show_objects(form, [docker_object(one) for one in found], found)
        return
    nodes = await Names(control).of("node")
    for one in found:
        show_page(page(one, nodes))


@volume.command(examples="swarmctl volume update --availability drain data")
@click.argument("name", metavar="VOLUME", shell_complete=completion_of("volume"))
@click.option("--availability", type=_AVAILABILITY, help="drain moves its tasks away")
@click.option("--label-add", multiple=True, help="Add labels (key=value)")
@click.option("--label-rm", multiple=True, help="Remove labels")
@with_control
async def update(
    control: Control,
    name: str,
    availability: str | None,
    label_add: tuple[str, ...],
    label_rm: tuple[str, ...],
) -> None:
    """Change a cluster volume's availability or labels"""
    found = await resolve(control, "volume", name)
    if availability:
        found.spec.availability = volumes.AVAILABILITIES[availability]
    for key in label_rm:
        found.spec.annotations.labels.pop(key, None)
    found.spec.annotations.labels.update(options(label_add))
    request = api.UpdateVolumeRequest(
        volume_id=found.id, spec=found.spec, volume_version=found.meta.version
    )
    await control.api.UpdateVolume(request)
    click.echo(found.spec.annotations.name)


@volume.command(examples="swarmctl volume rm data")
@click.argument("names", metavar="VOLUME...", **arguments("volume"))
@click.option(
    "-f", "--force", is_flag=True, help="Forget it as it is; its storage is left to its plugin"
)
@with_control
async def remove(control: Control, names: tuple[str, ...], force: bool) -> None:
    """Remove cluster volumes, with all that is on them"""
    for name in names:
        found = await resolve(control, "volume", name)
        await control.api.RemoveVolume(api.RemoveVolumeRequest(volume_id=found.id, force=force))
        click.echo(found.spec.annotations.name)
