"""Network calls, as a cluster answers them that has no network driver.

A network is kept, and that is all: a service attached to one waits for it. The ingress network
stands for published ports.
"""

import ipaddress
import re
from typing import Final

from swarmd import api, ids
from swarmd.api import addresses
from swarmd.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    NameConflictError,
    NotFoundError,
    PermissionDeniedError,
    SwarmError,
)
from swarmd.store import WriteTx, by
from workers.manager.control import filters, names
from workers.manager.control.handlers import Context, Handlers, invalid_argument
from workers.manager.control.port_checks import needs_ingress

_PREDEFINED: Final = "com.docker.swarm.predefined"
_INTERNAL: Final = "com.docker.swarm.internal"
_CIDR: Final = re.compile(r"([^/%]+)/([0-9]{1,3})", re.ASCII)

_Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network


class Networks(Handlers):
    async def CreateNetwork(
        self, request: api.CreateNetworkRequest, context: Context
    ) -> api.CreateNetworkResponse:
        if not request.HasField("spec"):
            raise invalid_argument()
        _check_spec(request.spec)
        network = api.Network(id=ids.new_id(self._random), spec=request.spec)
        return api.CreateNetworkResponse(
            network=await self._store.update(lambda tx: _create(tx, network))
        )

    async def GetNetwork(
        self, request: api.GetNetworkRequest, context: Context
    ) -> api.GetNetworkResponse:
        if not request.network_id:
            raise invalid_argument()
        network = self._store.view().networks.get(request.network_id)
        if network is None:
            raise NotFoundError("network", request.network_id)
        return api.GetNetworkResponse(network=network)

    async def ListNetworks(
        self, request: api.ListNetworksRequest, context: Context
    ) -> api.ListNetworksResponse:
        wanted = request.filters
        query = filters.first_given(
            (by.name, wanted.names),
            (by.name_prefix, wanted.name_prefixes),
            (by.id_prefix, wanted.id_prefixes),
        )
        found = self._store.view().networks.find(query)
        return api.ListNetworksResponse(networks=[one for one in found if _selected(one, wanted)])

    async def RemoveNetwork(
        self, request: api.RemoveNetworkRequest, context: Context
    ) -> api.RemoveNetworkResponse:
        if not request.network_id:
            raise invalid_argument()
        await self._store.update(lambda tx: _remove(tx, request.network_id))
        return api.RemoveNetworkResponse()


def is_ingress(network: api.Network) -> bool:
    """Old clusters have one that is known by a label and its name."""
    annotations = network.spec.annotations
    return network.spec.ingress or (
        annotations.name == "ingress" and _INTERNAL in annotations.labels
    )


def _create(tx: WriteTx, network: api.Network) -> api.Network:
    present = [one.id for one in tx.networks.find() if is_ingress(one)]
    if network.spec.ingress and present:
        raise AlreadyExistsError(f"ingress network ({present[0]}) is already present")
    try:
        return tx.networks.create(network)
    except NameConflictError as error:
        # Clients know this one by UNKNOWN.
        raise SwarmError("name conflicts with an existing object") from error


def _remove(tx: WriteTx, network_id: str) -> None:
    network = tx.networks.copy(network_id)
    if network.spec.annotations.labels.get(_PREDEFINED) == "true":
        name = network.spec.annotations.name
        raise FailedPreconditionError(
            f"network {network_id} ({name}) is a swarm predefined network and cannot be removed"
        )
    if is_ingress(network):
        _check_ingress_unused(tx)
    else:
        _check_unused(tx, network_id)
    tx.networks.delete(network_id)


def _check_ingress_unused(tx: WriteTx) -> None:
    for service in tx.services.find():
        if needs_ingress(service.spec):
            raise FailedPreconditionError(
                f"ingress network cannot be removed because service {service.id} depends on it"
            )


def _check_unused(tx: WriteTx, network_id: str) -> None:
    query = by.referenced_network(network_id)
    for service in tx.services.find(query):
        raise FailedPreconditionError(f"network {network_id} is in use by service {service.id}")
    for task in tx.tasks.find(query):
        if max(task.desired_state, task.status.state) <= api.TaskState.RUNNING:
            raise FailedPreconditionError(f"network {network_id} is in use by task {task.id}")


def _check_spec(spec: api.NetworkSpec) -> None:
    if spec.attachable and spec.ingress:
        raise InvalidArgumentError("ingress network cannot be attachable")
    names.check_dns_name(spec.annotations)
    if _PREDEFINED in spec.annotations.labels:
        raise PermissionDeniedError(
            f"label {_PREDEFINED} is for internally created predefined networks and cannot be "
            "applied by users"
        )
    if spec.HasField("driver_config"):
        raise InvalidArgumentError("ingress network drivers are unavailable")
    if spec.ipam.HasField("driver"):
        raise InvalidArgumentError("IPAM drivers are unavailable")
    for config in spec.ipam.configs:
        _check_ipam(config)


def _check_ipam(config: api.IPAMConfig) -> None:
    subnet = _cidr(config.subnet)
    if subnet is None:
        raise InvalidArgumentError(f"ipam configuration: invalid subnet {config.subnet}")
    if config.range:
        first = _cidr(config.range)
        _check_inside("range", config.range, first and first[0], config)
    if config.gateway:
        _check_inside("gateway", config.gateway, addresses.parse(config.gateway), config)


def _check_inside(
    what: str, text: str, address: addresses.Address | None, config: api.IPAMConfig
) -> None:
    if address is None:
        raise InvalidArgumentError(f"ipam configuration: invalid {what} {text}")
    subnet = _cidr(config.subnet)
    if subnet is not None and address not in subnet[1]:
        raise InvalidArgumentError(
            f"ipam configuration: subnet {config.subnet} does not contain {what} {text}"
        )


def _cidr(text: str) -> tuple[addresses.Address, _Subnet] | None:
    """The address and the network that it names; a written-out netmask is not CIDR."""
    found = _CIDR.fullmatch(text)
    if found is None:
        return None
    try:
        interface = ipaddress.ip_interface(f"{found[1]}/{int(found[2])}")
    except ValueError:
        return None
    return interface.ip, interface.network


def _selected(network: api.Network, wanted: api.ListNetworksRequest.Filters) -> bool:
    annotations = network.spec.annotations
    return (
        filters.is_one_of(annotations.name, wanted.names)
        and filters.has_prefix(annotations.name, wanted.name_prefixes)
        and filters.has_prefix(network.id, wanted.id_prefixes)
        and filters.has_labels(annotations.labels, wanted.labels)
    )
