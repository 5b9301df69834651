"""Network calls."""

from typing import Any

import pytest

from swarmd import api
from swarmd.errors import Status
from swarmd.store import Store
from tests import builders
from tests.unit.manager.control.calls import (
    INVALID,
    INVALID_ARGUMENT,
    names,
    put,
    refusal,
    stored_service,
)
from workers.manager.control.server import ControlServicer

PRECONDITION = Status.FAILED_PRECONDITION
PREDEFINED = "com.docker.swarm.predefined"
INGRESS = {"annotations": {"name": "ingress"}, "ingress": True}


async def create(control: ControlServicer, name: str = "net", **fields: Any) -> api.Network:
    spec = api.NetworkSpec(**({"annotations": {"name": name}} | fields))
    answer = await control.CreateNetwork(api.CreateNetworkRequest(spec=spec), None)
    return answer.network


def removal(control: ControlServicer, network: api.Network) -> Any:
    return control.RemoveNetwork(api.RemoveNetworkRequest(network_id=network.id), None)


def ipam(subnet: str, **fields: str) -> dict[str, Any]:
    return {"ipam": {"configs": [{"subnet": subnet, **fields}]}}


async def test_a_network_is_created_as_sent(control: ControlServicer, store: Store) -> None:
    network = await create(control, **ipam("10.1.0.0/16", range="10.1.2.0/24", gateway="10.1.0.1"))
    assert network == store.view().networks.get(network.id)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"ingress": True, "attachable": True}, "ingress network cannot be attachable"),
        ({"name": ""}, "meta: name must be provided"),
        ({"name": "a.b"}, "name must be valid as a DNS name component"),
        ({"driver_config": {}}, "ingress network drivers are unavailable"),
        ({"ipam": {"driver": {}}}, "IPAM drivers are unavailable"),
        (ipam(""), "ipam configuration: invalid subnet "),
        (ipam("10.1.0.0"), "ipam configuration: invalid subnet 10.1.0.0"),
        (
            ipam("10.1.0.0/255.255.0.0"),
            "ipam configuration: invalid subnet 10.1.0.0/255.255.0.0",
        ),
        (ipam("10.1.0.0/33"), "ipam configuration: invalid subnet 10.1.0.0/33"),
        (ipam("10.1.0.0/16", range="x"), "ipam configuration: invalid range x"),
        (
            ipam("10.1.0.0/16", range="10.2.0.0/24"),
            "ipam configuration: subnet 10.1.0.0/16 does not contain range 10.2.0.0/24",
        ),
        (ipam("10.1.0.0/16", gateway="x"), "ipam configuration: invalid gateway x"),
        (ipam("fe80::/64", gateway="fe80::1%e"), "ipam configuration: invalid gateway fe80::1%e"),
        (
            ipam("10.1.0.0/16", gateway="10.2.0.1"),
            "ipam configuration: subnet 10.1.0.0/16 does not contain gateway 10.2.0.1",
        ),
    ],
)
async def test_a_fault_is_an_invalid_argument(
    control: ControlServicer, fields: dict[str, Any], sentence: str
) -> None:
    assert (INVALID, sentence) == await refusal(create(control, **fields))


async def test_create_needs_a_spec(control: ControlServicer) -> None:
    told = await refusal(control.CreateNetwork(api.CreateNetworkRequest(), None))
    assert INVALID_ARGUMENT == told


async def test_addresses_of_both_families_are_taken(control: ControlServicer) -> None:
    assert (await create(control, "four", **ipam("10.1.2.3/16", gateway="::ffff:10.1.0.1"))).id
    assert (await create(control, "six", **ipam("2001:db8::/64", gateway="2001:db8::1"))).id


async def test_predefined_networks_are_not_made_by_users(control: ControlServicer) -> None:
    annotations = {"name": "host", "labels": {PREDEFINED: ""}}
    status, _ = await refusal(create(control, annotations=annotations))
    assert Status.PERMISSION_DENIED == status


async def test_a_name_that_is_taken_is_unknown(control: ControlServicer) -> None:
    await create(control, "net")
    told = await refusal(create(control, "NET"))
    assert (Status.UNKNOWN, "name conflicts with an existing object") == told


async def test_there_is_one_ingress_network(control: ControlServicer) -> None:
    first = await create(control, ingress=True)
    sentence = f"ingress network ({first.id}) is already present"
    told = await refusal(create(control, "other", ingress=True))
    assert (Status.ALREADY_EXISTS, sentence) == told


async def test_get_and_remove_need_an_id_that_exists(control: ControlServicer) -> None:
    network = await create(control)
    request = api.GetNetworkRequest(network_id=network.id)
    assert network == (await control.GetNetwork(request, None)).network
    await removal(control, network)
    for method, kind in (
        (control.GetNetwork, api.GetNetworkRequest),
        (control.RemoveNetwork, api.RemoveNetworkRequest),
    ):
        assert INVALID_ARGUMENT == await refusal(method(kind(), None))
        told = await refusal(method(kind(network_id=network.id), None))
        assert (Status.NOT_FOUND, f"network {network.id} not found") == told


async def test_a_network_in_use_stays(control: ControlServicer, store: Store) -> None:
    network = await create(control)
    spec = {"container": {"image": "i"}, "networks": [{"target": network.id}]}
    service = await stored_service(store, task_spec=api.TaskSpec(**spec))
    sentence = f"network {network.id} is in use by service {service.id}"
    assert (PRECONDITION, sentence) == await refusal(removal(control, network))

    await store.update(lambda tx: tx.services.delete(service.id))
    task = builders.task(spec=spec, state=api.TaskState.RUNNING)
    await put(store, task)
    sentence = f"network {network.id} is in use by task {task.id}"
    assert (PRECONDITION, sentence) == await refusal(removal(control, network))

    await store.update(lambda tx: tx.tasks.delete(task.id))
    await put(store, builders.task(spec=spec, state=api.TaskState.SHUTDOWN))
    await removal(control, network)
    assert store.view().networks.get(network.id) is None


async def test_the_ingress_network_stays_while_a_port_needs_it(
    control: ControlServicer, store: Store
) -> None:
    network = await create(control, **INGRESS)
    service = await stored_service(store)

    def publish(tx: Any) -> Any:
        own = tx.services.copy(service.id)
        own.spec.endpoint.ports.add(target_port=80)
        return tx.services.update(own)

    await store.update(publish)
    sentence = f"ingress network cannot be removed because service {service.id} depends on it"
    assert (PRECONDITION, sentence) == await refusal(removal(control, network))
    await store.update(lambda tx: tx.services.delete(service.id))
    await removal(control, network)
    assert [] == store.view().networks.find()


async def test_predefined_networks_stay(control: ControlServicer, store: Store) -> None:
    network = builders.network("host", labels={PREDEFINED: "true"})
    await put(store, network)
    sentence = f"network {network.id} (host) is a swarm predefined network and cannot be removed"
    assert (PRECONDITION, sentence) == await refusal(removal(control, network))


async def test_filters_of_several_kinds_must_all_be_met(control: ControlServicer) -> None:
    web = await create(control, annotations={"name": "web", "labels": {"a": "1"}})
    await create(control, "db")

    async def listed(**filters: Any) -> list[str]:
        answer = await control.ListNetworks(api.ListNetworksRequest(filters=filters), None)
        return names(answer.networks)

    assert ["db", "web"] == await listed()
    assert ["web"] == await listed(names=["web"], labels={"a": ""})
    assert [] == await listed(names=["WEB"])
    assert ["db"] == await listed(name_prefixes=["d"])
    assert [] == await listed(name_prefixes=["d"], id_prefixes=[web.id])
