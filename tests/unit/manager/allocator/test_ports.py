"""Published ports: whose they are, and what an endpoint becomes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd import api
from workers.manager.allocator.ports import (
    DYNAMIC_PORTS,
    PortBook,
    PortUnavailableError,
    allocate,
    is_allocated,
)

HOST = api.PortConfig.PublishMode.HOST


def service(*ports: api.PortConfig, service_id: str = "s") -> api.Service:
    one = api.Service(id=service_id)
    one.spec.endpoint.ports.extend(ports)
    return one


def settled(one: api.Service, book: PortBook) -> api.Service:
    ports = allocate(one, book)
    one.ClearField("endpoint")
    one.endpoint.spec.CopyFrom(one.spec.endpoint)
    one.endpoint.ports.extend(ports)
    return one


def ingress(published: int = 0, target: int = 80, name: str = "") -> api.PortConfig:
    return api.PortConfig(published_port=published, target_port=target, name=name)


def test_a_service_without_ports_needs_nothing():
    assert is_allocated(service())


def test_a_host_port_is_copied():
    port = api.PortConfig(publish_mode=HOST, published_port=8080, target_port=80)
    one = settled(service(port), PortBook())
    assert [port] == list(one.endpoint.ports)
    assert is_allocated(one)


def test_an_ingress_port_without_a_number_gets_a_dynamic_one():
    one = settled(service(ingress()), PortBook())
    assert one.endpoint.ports[0].published_port in DYNAMIC_PORTS
    assert is_allocated(one)


def test_a_dynamic_port_is_kept_when_another_port_is_added():
    book = PortBook()
    one = settled(service(ingress()), book)
    before = one.endpoint.ports[0].published_port
    one.spec.endpoint.ports.append(ingress(published=443, target=443))
    assert not is_allocated(one)
    assert [before, 443] == [port.published_port for port in settled(one, book).endpoint.ports]


def test_a_taken_port_is_refused_and_free_again_after_its_release():
    book = PortBook()
    settled(service(ingress(8080)), book)
    other = service(ingress(9090), ingress(8080), service_id="other")
    with pytest.raises(PortUnavailableError, match="8080"):
        allocate(other, book)
    settled(service(ingress(9090), service_id="third"), book)  # the refused one kept nothing
    book.release("s")
    book.release("third")
    allocate(other, book)


def test_protocols_have_ports_of_their_own():
    book = PortBook()
    settled(service(ingress(53)), book)
    udp = api.PortConfig(published_port=53, protocol=api.PortConfig.Protocol.UDP)
    assert [udp] == list(settled(service(udp, service_id="other"), book).endpoint.ports)


def test_a_new_book_holds_what_endpoints_say():
    one = settled(service(ingress(8080)), PortBook())
    book = PortBook()
    book.hold(one)
    with pytest.raises(PortUnavailableError):
        allocate(service(ingress(8080), service_id="other"), book)


def test_a_changed_host_port_is_seen():
    port = api.PortConfig(publish_mode=HOST, published_port=8080, target_port=80)
    one = settled(service(port), PortBook())
    one.spec.endpoint.ports[0].published_port = 8081
    assert not is_allocated(one)


ports = st.builds(
    api.PortConfig,
    published_port=st.sampled_from([0, 0, 80, 443, 30000, 30001]),
    target_port=st.integers(1, 4),
    protocol=st.sampled_from(list(api.PortConfig.Protocol.values())),
)


@given(st.lists(st.lists(ports, max_size=4), max_size=6))
def test_no_two_services_ever_hold_the_same_ingress_port(specs: list[list[api.PortConfig]]):
    book, held = PortBook(), set()
    for index, spec in enumerate(specs):
        try:
            given_ports = allocate(service(*spec, service_id=str(index)), book)
        except PortUnavailableError:
            continue
        taken = {(port.protocol, port.published_port) for port in given_ports}
        assert len(given_ports) == len(taken)
        assert not taken & held
        held |= taken
