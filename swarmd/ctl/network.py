"""swarmctl network: the cluster's networks."""

from typing import Any

import click

from swarmd import api
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.output import format_option, quiet_option, show_json, show_page, show_table
from swarmd.ctl.resolve import list_all, resolve
from swarmd.ctl.values import Strings, flat, pairs


@click.group(cls=AliasedGroup)
def network() -> None:
    """Network management"""


@network.command()
@click.option("--name", required=True, help="Network name")
@click.option("--driver", help="Network driver")
@click.option("--ipam-driver", help="Driver of its addresses")
@click.option("--subnet", type=Strings(), multiple=True, help="Subnets in CIDR form")
@click.option("--gateway", type=Strings(), multiple=True, help="A gateway for each subnet")
@click.option("--ip-range", type=Strings(), multiple=True, help="A range for each subnet")
@click.option("--opts", type=Strings(), multiple=True, help="Options of the driver (key=value)")
@with_control
async def create(control: Control, name: str, **flags: Any) -> None:
    """Create a network"""
    spec = api.NetworkSpec()
    spec.annotations.name = name
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


@network.command()
@quiet_option
@format_option
@with_control
async def ls(control: Control, quiet: bool, form: str) -> None:
    """List networks"""
    found = await list_all(control, "network")
    if quiet:
        click.echo("\n".join(one.id for one in found))
    elif form == "json":
        show_json(found)
    else:
        rows = [(one.id, one.spec.annotations.name, _driver(one)) for one in found]
        show_table(("ID", "Name", "Driver"), rows)


@network.command()
@click.argument("name", metavar="NETWORK")
@format_option
@with_control
async def inspect(control: Control, name: str, form: str) -> None:
    """Inspect a network"""
    found = await resolve(control, "network", name)
    if form == "json":
        show_json(found)
        return
    configs = found.ipam.configs or found.spec.ipam.configs
    pages = {
        "ID": found.id,
        "Name": found.spec.annotations.name,
        "Driver": _driver(found),
        "Ingress": "yes" if found.spec.ingress else "",
        "Subnets": [f"{one.subnet} gateway {one.gateway or 'any'}" for one in configs],
    }
    show_page(pages)


def _driver(one: api.Network) -> str:
    return one.driver_state.name or one.spec.driver_config.name


@network.command()
@click.argument("names", metavar="NETWORK...", nargs=-1, required=True)
@with_control
async def remove(control: Control, names: tuple[str, ...]) -> None:
    """Remove networks"""
    for name in names:
        found = await resolve(control, "network", name)
        await control.api.RemoveNetwork(api.RemoveNetworkRequest(network_id=found.id))
        click.echo(found.id)
