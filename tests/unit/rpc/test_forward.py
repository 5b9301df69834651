"""What a follower passes on, and what may be asked twice."""

import pytest

from swarmd.api.protos import ca_pb2, control_pb2, dispatcher_pb2, health_pb2
from swarmd.rpc.forward import (
    forwarded_peer,
    goes_to_leader,
    is_passed_on,
    is_read,
    metadata_of,
)
from swarmd.security.identity import Caller

_CONTROL = control_pb2.DESCRIPTOR.services_by_name["Control"]
_DISPATCHER = dispatcher_pb2.DESCRIPTOR.services_by_name["Dispatcher"]
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
_CA = ca_pb2.DESCRIPTOR.services_by_name["CA"]


@pytest.mark.parametrize("name", ["GetService", "ListNodes"])
def test_what_only_reads_may_be_asked_twice(name: str):
    assert is_read(_CONTROL.methods_by_name[name])


@pytest.mark.parametrize("name", ["CreateService", "UpdateCluster", "RemoveNode"])
def test_what_changes_something_may_not(name: str):
    assert not is_read(_CONTROL.methods_by_name[name])


def test_a_stream_may_not_be_begun_twice():
    assert not any(is_read(one) for one in _DISPATCHER.methods if one.server_streaming)


def test_health_is_each_manager_s_own():
    assert not goes_to_leader(_HEALTH.methods_by_name["Check"])
    assert goes_to_leader(_CA.methods_by_name["GetRootCACertificate"])


def test_a_call_that_was_passed_on_says_so_and_in_whose_name():
    metadata = metadata_of(Caller("node", "swarm-worker", "cluster", "10.0.0.9:1", local=False))
    assert is_passed_on(metadata)
    peer = forwarded_peer(metadata)
    assert peer is not None
    assert peer.identity is not None
    assert ("node", "10.0.0.9:1") == (peer.identity.node_id, peer.remote_addr)
    assert not is_passed_on([("swarmd-receive-limit", "-1")])
