"""swarmctl cluster: look at the cluster, and change how it works."""

from typing import Any

import click
import durationpy

from swarmd import api
from swarmd.ctl import docker_objects
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.formats import inspect_format_option, list_format_option, show_list, show_objects
from swarmd.ctl.output import quiet_option, show_page
from swarmd.ctl.resolve import list_all, resolve
from swarmd.ctl.values import Strings, duration, flat, options, pairs
from swarmd.security import unlock_key as keys


@click.group(cls=AliasedGroup)
def cluster() -> None:
    """Cluster management"""


@cluster.command()
@quiet_option
@list_format_option
@with_control
async def ls(control: Control, quiet: bool, form: str) -> None:
    """List clusters"""
    found = await list_all(control, "cluster")
    rows = [{"ID": one.id, "Name": one.spec.annotations.name} for one in found]
    show_list(form, {"ID": "ID", "Name": "NAME"}, rows, found=found, quiet=quiet)


@cluster.command(examples="swarmctl cluster inspect --format '{{.JoinTokens.Worker}}'")
@click.argument("name", metavar="CLUSTER", default="default")
@inspect_format_option
@with_control
async def inspect(control: Control, name: str, form: str, pretty: bool) -> None:
    """Inspect a cluster"""
    found = await resolve(control, "cluster", name)
    if pretty or form == "pretty":
        show_page(_page(found))
    else:
        show_objects(form, [docker_objects.cluster(found)], [found])


def _page(one: api.Cluster) -> dict[str, Any]:
    driver = one.spec.task_defaults.log_driver
    return {
        "ID": one.id,
        "Name": one.spec.annotations.name,
        "Labels": dict(sorted(one.spec.annotations.labels.items())),
        "Orchestration settings": {
            "Task history entries": str(one.spec.orchestration.task_history_retention_limit)
        },
        "Dispatcher settings": {
            "Dispatcher heartbeat period": _go(one.spec.dispatcher.heartbeat_period)
        },
        "Certificate Authority settings": {
            "Certificate Validity Duration": _go(one.spec.ca_config.node_cert_expiry),
            "External CAs": [
                f"{api.ExternalCA.CAProtocol.Name(ca.protocol)}: {ca.url}"
                for ca in one.spec.ca_config.external_cas
            ],
            "Join Tokens": {
                "Worker": one.root_ca.join_tokens.worker,
                "Manager": one.root_ca.join_tokens.manager,
            },
        },
        "Default Log Driver": {driver.name: dict(driver.options) or "no options"}
        if driver.name
        else None,
    }


def _go(value: Any) -> str:
    return str(durationpy.to_str(value.ToTimedelta()))


@cluster.command()
@click.argument("name", metavar="CLUSTER", default="default")
@click.option("--taskhistory", type=int, help="Historic tasks to keep for each slot or node")
@click.option("--certexpiry", help="How long node certificates are valid, e.g. 2160h")
@click.option(
    "--external-ca", multiple=True, help="Certificate signing endpoint: protocol=cfssl,url=URL"
)
@click.option("--heartbeatperiod", help="Period of the agents' heartbeats, e.g. 5s")
@click.option("--log-driver", help="Default log driver")
@click.option("--log-opt", type=Strings(), multiple=True, help="Options of the default log driver")
@click.option(
    "--rotate-join-token",
    type=click.Choice(("worker", "manager"), case_sensitive=False),
    help="Make a new join token for workers or managers; the old one is refused at once",
)
@click.option("--rotate-unlock-key", is_flag=True, help="Make a new unlock key")
@click.option("--autolock/--no-autolock", default=None, help="Seal managers under an unlock key")
@with_control
async def update(control: Control, name: str, **flags: Any) -> None:
    """Update a cluster: only what a flag names is changed"""
    found = await resolve(control, "cluster", name)
    rotated = flags["rotate_join_token"]
    rotation = api.KeyRotation(
        worker_join_token=rotated == "worker",
        manager_join_token=rotated == "manager",
        manager_unlock_key=flags["rotate_unlock_key"],
    )
    request = api.UpdateClusterRequest(
        cluster_id=found.id,
        cluster_version=found.meta.version,
        spec=_changed(found.spec, flags),
        rotation=rotation,
    )
    reply = await control.api.UpdateCluster(request)
    click.echo(reply.cluster.id)
    if rotation.manager_unlock_key or flags["autolock"]:
        await _show_unlock_key(control)


def _changed(spec: api.ClusterSpec, flags: dict[str, Any]) -> api.ClusterSpec:
    if flags["taskhistory"] is not None:
        spec.orchestration.task_history_retention_limit = flags["taskhistory"]
    if flags["certexpiry"] is not None:
        expiry = duration(flags["certexpiry"], "--certexpiry")
        spec.ca_config.node_cert_expiry.CopyFrom(expiry)
    if flags["heartbeatperiod"] is not None:
        period = duration(flags["heartbeatperiod"], "--heartbeatperiod")
        spec.dispatcher.heartbeat_period.CopyFrom(period)
    if flags["external_ca"]:
        del spec.ca_config.external_cas[:]
        spec.ca_config.external_cas.extend(map(_external_ca, flags["external_ca"]))
    if flags["log_driver"] is not None:
        spec.task_defaults.log_driver.name = flags["log_driver"]
        spec.task_defaults.log_driver.options.clear()
        spec.task_defaults.log_driver.options.update(options(flat(flags["log_opt"])))
    if flags["autolock"] is not None:
        spec.encryption_config.auto_lock_managers = flags["autolock"]
    return spec


def _external_ca(text: str) -> api.ExternalCA:
    parts = pairs(text.split(","), "--external-ca")
    if parts.pop("protocol", "").lower() != "cfssl" or not parts.get("url"):
        raise click.BadParameter(
            f"{text!r} is not protocol=cfssl,url=URL", param_hint="--external-ca"
        )
    return api.ExternalCA(url=parts.pop("url"), options=parts)


@cluster.command()
@click.argument("name", metavar="CLUSTER", default="default")
@with_control
async def unlock_key(control: Control, name: str) -> None:
    """Show the key that unlocks this cluster's managers"""
    await resolve(control, "cluster", name)
    await _show_unlock_key(control)


async def _show_unlock_key(control: Control) -> None:
    reply = await control.ca.GetUnlockKey(api.GetUnlockKeyRequest())
    if not reply.unlock_key:
        click.echo("Managers are not auto-locked")
        return
    click.echo(f"Managers are auto-locked. Unlock key: {keys.show(reply.unlock_key)}")
