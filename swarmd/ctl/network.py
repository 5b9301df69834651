"""swarmctl network: the cluster's networks."""

from typing import Any

import click

from swarmd import api
from swarmd.ctl import docker_objects
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.complete import arguments
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.filtering import BY_ANNOTATIONS, filter_option, filtered
from swarmd.ctl.formats import inspect_format_option, list_format_option, show_list, show_objects
from swarmd.ctl.output import quiet_option, show_page
from swarmd.ctl.resolve import list_all, resolve
from swarmd.ctl.rows import NETWORK_TITLES, by_name, network_fields
from swarmd.ctl.values import PairStrings, Strings, flat, options, pairs

_FILTERS = {**BY_ANNOTATIONS, "driver": lambda one, name: network_fields(one)["Driver"] == name}


@click.group(cls=AliasedGroup)
def network() -> None:
    """Network management"""


@network.command(
    examples="swarmctl network create --name front --subnet 10.1.0.0/16 --gateway 10.1.0.1"
)
@click.argument("named", metavar="[NETWORK]", required=False)
@click.option("--name", help="Network name, if it is not given as an argument")
@click.option("-d", "--driver", help="Network driver")
@click.option("--ipam-driver", help="Driver of its addresses")
@click.option("--subnet", type=Strings(), multiple=True, help="Subnets in CIDR form")
@click.option("--gateway", type=Strings(), multiple=True, help="A gateway for each subnet")
@click.option("--ip-range", type=Strings(), multiple=True, help="A range for each subnet")
@click.option(
    "-o", "--opts", "--opt", type=Strings(), multiple=True, help="Options of the driver (key=value)"
)
@click.option("--label", type=PairStrings(), multiple=True, help="Labels (key=value)")
@click.option("--attachable", is_flag=True, help="Let containers attach to it by hand")
@click.option("--internal", is_flag=True, help="Keep it from the outside")
@click.option("--ingress", is_flag=True, help="Make it the routing mesh's")
@with_control
async def create(control: Control, named: str | None, name: str | None, **flags: Any) -> None:
    """Create a network"""
    if not (name or named):
        raise click.UsageError("a network needs a name")
    spec = api.NetworkSpec(
        attachable=flags["attachable"], internal=flags["internal"], ingress=flags["ingress"]
    )
    spec.annotations.name = name or named or ""
    spec.annotations.labels.update(options(flat(flags["label"])))
    if flags["driver"]:
        spec.driver_config.name = flags["driver"]
        spec.driver_config.options.update(pairs(flat(flags["opts"]), "--opts"))
    if flags["ipam_driver"]:
        spec.ipam.driver.name = flags["ipam_driver"]
    gateways, ranges = flat(flags["gateway"]), flat(flags["ip_range"])
    for index, subnet in enumerate(flat(flags["subnet"])):
        spec.ipam.configs.add(
            subnet=subnet,
            gateway=gateways[index] if index < len(gateways) else "",
            range=ranges[index] if index < len(ranges) else "",
        )
    reply = await control.api.CreateNetwork(api.CreateNetworkRequest(spec=spec))
    click.echo(reply.network.id)


@network.command(examples="swarmctl network ls --format '{{.ID}} {{.Name}}'")
@filter_option(_FILTERS)
@quiet_option
@list_format_option
@with_control
async def ls(control: Control, filters: tuple[str, ...], quiet: bool, form: str) -> None:
    """List networks"""
    found = filtered(await list_all(control, "network"), filters, _FILTERS)
    found.sort(key=by_name)
    rows = [network_fields(one) for one in found]
    show_list(form, NETWORK_TITLES, rows, found=found, quiet=quiet)


@network.command(examples="swarmctl network inspect ingress")
@click.argument("names", metavar="NETWORK...", **arguments("network"))
@inspect_format_option
@with_control
async def inspect(control: Control, names: tuple[str, ...], form: str, pretty: bool) -> None:
    """Inspect networks"""
    found = [await resolve(control, "network", name) for name in names]
    if not pretty and form != "pretty":
        show_objects(form, [docker_objects.network(one) for one in found], found)
        return
    for one in found:
        show_page(_page(one))


def _page(one: api.Network) -> dict[str, Any]:
    configs = one.ipam.configs or one.spec.ipam.configs
    return {
        "ID": one.id,
        "Name": one.spec.annotations.name,
        "Driver": network_fields(one)["Driver"],
        "Ingress": "yes" if one.spec.ingress else "",
        "Subnets": [f"{each.subnet} gateway {each.gateway or 'any'}" for each in configs],
    }


@network.command(examples="swarmctl network rm front")
@click.argument("names", metavar="NETWORK...", **arguments("network"))
@with_control
async def remove(control: Control, names: tuple[str, ...]) -> None:
    """Remove networks"""
    for name in names:
        found = await resolve(control, "network", name)
        await control.api.RemoveNetwork(api.RemoveNetworkRequest(network_id=found.id))
        click.echo(found.id)
