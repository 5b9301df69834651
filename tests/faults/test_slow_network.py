"""Managers far from each other, by a network that loses packets."""

import contextlib

import pytest

from tests.networks import Lan, NetNode, lan
from tests.quorum import formed, node_id, why_not

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or ""),
    pytest.mark.timeout(300),
]

_TICKS = ("--heartbeat-tick=0.5", "--election-tick=5")  # as docs/managers.md has it for them
_DELAY_SECONDS = 0.2
_LOSS = 0.05


def test_with_the_ticks_of_a_slow_network_one_leads_and_writes_go_on() -> None:
    with lan() as net, formed(3, lambda _: far_away(net)) as managers:
        leader = node_id(managers.leader)
        with managers.load(patience=60) as load:
            with contextlib.ExitStack() as slowly:
                for node in managers.nodes:
                    assert isinstance(node, NetNode)
                    slowly.enter_context(net.slow(node.host, _DELAY_SECONDS, _LOSS))
                load.wait_written(15)
                assert leader == managers.leader_id
            load.wait_written(15)
        load.check()


def far_away(net: Lan) -> NetNode:
    host = net.host()
    return NetNode(host, f"--advertise-remote-api={host.address}", *_TICKS)
