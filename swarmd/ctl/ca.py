"""swarmctl ca: the cluster's root CA, and its change."""

import asyncio
from pathlib import Path
from typing import Final

import click

from swarmd import api
from swarmd.ctl.aliases import AliasedGroup
from swarmd.ctl.connection import Control, with_control
from swarmd.ctl.resolve import list_all, resolve
from swarmd.security.certificates import issuer_of, parse_chain

_POLL_SECONDS: Final = 0.5
_MOST_NAMES: Final = 5


@click.group(cls=AliasedGroup)
def ca() -> None:
    """Root CA management"""


@ca.command()
@with_control
async def show(control: Control) -> None:
    """Print the root CA's certificate"""
    found = await resolve(control, "cluster", "default")
    click.echo(found.root_ca.ca_cert.decode(), nl=False)


@ca.command()
@click.option(
    "--ca-cert", type=click.Path(exists=True, path_type=Path), help="The next root's certificate"
)
@click.option("--ca-key", type=click.Path(exists=True, path_type=Path), help="Its key")
@click.option("-d", "--detach", is_flag=True, help="Return at once, without watching")
@with_control
async def rotate(control: Control, ca_cert: Path | None, ca_key: Path | None, detach: bool) -> None:
    """Change the root CA: to a new one, or to the one given; every node gets a new certificate"""
    if ca_key and not ca_cert:
        raise click.UsageError("--ca-key needs the --ca-cert that it belongs to.")
    found = await resolve(control, "cluster", "default")
    config = found.spec.ca_config
    if ca_cert:
        config.signing_ca_cert = _read(ca_cert)
        config.signing_ca_key = _read(ca_key) if ca_key else b""
    else:
        config.force_rotate += 1
    request = api.UpdateClusterRequest(
        cluster_id=found.id, cluster_version=found.meta.version, spec=found.spec
    )
    reply = await control.api.UpdateCluster(request)
    if not detach and reply.cluster.root_ca.HasField("root_rotation"):
        await _watch(control)
    if not detach:
        after = await resolve(control, "cluster", "default")
        click.echo(f"root CA: {after.root_ca.ca_cert_hash}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from error


async def _watch(control: Control) -> None:
    """Until it is through; who stops watching does not stop it."""
    said = ""
    while True:
        found = await resolve(control, "cluster", "default")
        if not found.root_ca.HasField("root_rotation"):
            return
        line = _progress(await list_all(control, "node"), found.root_ca.root_rotation)
        if line != said:
            click.echo(line, err=True)
            said = line
        await asyncio.sleep(_POLL_SECONDS)


def _progress(nodes: list[api.Node], following: api.RootRotation) -> str:
    """How many nodes have a certificate of the next root, and for whom it waits."""
    marks = [one.description.tls_info.cert_issuer_public_key for one in nodes]
    key = _public_key(following.ca_cert)
    left = [_name(one) for one, mark in zip(nodes, marks, strict=True) if mark != key]
    done = f"{len(nodes) - len(left)} of {len(nodes)} nodes have a new certificate"
    names = ", ".join(left[:_MOST_NAMES]) + (" …" if len(left) > _MOST_NAMES else "")
    return f"{done}; waiting for {names}" if left else done


def _name(node: api.Node) -> str:
    state = api.NodeStatus.State.Name(node.status.state)
    return f"{node.description.hostname or node.id} ({state})"


def _public_key(pem: bytes) -> bytes:
    return issuer_of(parse_chain(pem)[0])[1]
