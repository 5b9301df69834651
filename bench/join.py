"""Trust and joining: python -m bench.join [--json] [--nodes N].

One real node from the command to ready; many simulated ones at once; the remote port's handshakes,
calls and latency against plain grpcio's; and a secret from its creation to a file on a node.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import click

from bench import router
from bench.daemon import Daemon, daemon, wait
from bench.figures import Figure, show
from bench.fleet import Fleet
from bench.fleet.cluster import Cluster
from swarmd import api

_SECRET_BYTES = 1024


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--nodes", default=100, show_default=True, help="Simulated nodes that join at once.")
@click.option("--runs", default=5, show_default=True, help="Runs whose median is taken.")
def main(as_json: bool, nodes: int, runs: int) -> None:
    """Measure how nodes get in, and what the remote port costs."""
    show(measure(nodes, runs), as_json=as_json)


def measure(nodes: int, runs: int) -> Iterator[Figure]:
    """Every figure, as soon as it is known."""
    with daemon() as manager:
        manager.start()
        joins = [_join_one(manager) for _ in range(runs)]
        yield Figure("join of one node, from command to READY", statistics.median(joins), "s")
        secrets = [_secret(manager, number) for number in range(runs)]
        yield Figure("secret, from its creation to a file", statistics.median(secrets), "s")
    for trusting in (False, True):
        with daemon() as manager:
            manager.start()
            yield from asyncio.run(_join_many(manager, nodes, trusting=trusting))
    yield from router.measure()


def _join_one(manager: Daemon) -> float:
    address, token = asyncio.run(_door(manager))
    with daemon(SWARMD_JOIN_ADDR=address, SWARMD_JOIN_TOKEN=token) as one:
        spent = one.start()
        asyncio.run(_check_ready(manager, one.report()["node_id"]))
        return spent


async def _door(manager: Daemon) -> tuple[str, str]:
    async with Cluster.of(manager) as cluster:
        return cluster.address, cluster.token


async def _check_ready(manager: Daemon, node_id: str) -> None:
    """The manager sees it too: a node says that it is ready once it is registered."""
    async with Cluster.of(manager) as cluster:
        (node,) = [node for node in await cluster.nodes() if node.id == node_id]
        assert node.status.state == api.NodeStatus.State.READY, node.status


async def _join_many(manager: Daemon, nodes: int, *, trusting: bool) -> list[Figure]:
    """With `trusting`, the root CA is given: two connections a node, and four without."""
    async with Cluster.of(manager) as cluster, Fleet(cluster.address, cluster.token) as fleet:
        begin, spent = time.monotonic(), cluster.cpu_seconds
        await fleet.join(nodes, trusting=trusting)
        seconds, spent = time.monotonic() - begin, cluster.cpu_seconds - spent
    how = "root CA given" if trusting else "root CA fetched by each"
    name = f"{nodes:,} nodes join at once, {how}"
    return [Figure(name, seconds, "s"), Figure("… of the manager's CPU", spent, "s")]


def _secret(manager: Daemon, number: int) -> float:
    """Of a service that is created right after its secret: seconds until a task has the file."""
    name = f"secret-{os.getpid()}-{number}"
    begin = time.monotonic()
    service_id = asyncio.run(_serve_secret(manager, name))
    wait(lambda: _credential(name))
    spent = time.monotonic() - begin
    asyncio.run(_remove(manager, service_id))
    return spent


async def _serve_secret(manager: Daemon, name: str) -> str:
    async with Cluster.of(manager) as cluster:
        spec = api.SecretSpec(annotations=api.Annotations(name=name), data=b"s" * _SECRET_BYTES)
        made = await cluster.control.CreateSecret(api.CreateSecretRequest(spec=spec))
        service = api.ServiceSpec(annotations=api.Annotations(name=name))
        service.replicated.replicas = 1
        service.task.container.image = "host"
        service.task.container.command.extend(["/bin/sleep", "100000"])
        service.task.container.secrets.add(
            secret_id=made.secret.id, secret_name=name, file=api.FileTarget(name=name)
        )
        reply = await cluster.control.CreateService(api.CreateServiceRequest(spec=service))
        return str(reply.service.id)


async def _remove(manager: Daemon, service_id: str) -> None:
    async with Cluster.of(manager) as cluster:
        request = api.RemoveServiceRequest(service_id=service_id)
        await cluster.control.RemoveService(request)


def _credential(name: str) -> Path | None:
    """The file as a host task finds it; all nodes of this host keep theirs in these places."""
    places = [Path("/run"), Path(f"/run/user/{os.getuid()}"), Path("/dev/shm")]
    found = (path for place in places for path in place.glob(f"swarmd-*/*/{name}"))
    return next((path for path in found if path.stat().st_size == _SECRET_BYTES), None)


if __name__ == "__main__":
    main()
