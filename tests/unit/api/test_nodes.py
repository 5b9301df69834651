from swarmd import api
from swarmd.api import nodes
from tests import builders

Availability = api.NodeSpec.Availability
NodeState = api.NodeStatus.State


def test_a_node_that_is_gone_keeps_and_takes_nothing():
    assert not nodes.can_keep_tasks(None)
    assert not nodes.can_take_tasks(None)


def test_a_paused_node_keeps_its_tasks_and_takes_no_more():
    paused = builders.node(availability=Availability.PAUSE)
    assert nodes.can_keep_tasks(paused)
    assert not nodes.can_take_tasks(paused)


def test_a_drained_or_down_node_gives_up_its_tasks():
    assert not nodes.can_keep_tasks(builders.node(availability=Availability.DRAIN))
    assert not nodes.can_keep_tasks(builders.node(state=NodeState.DOWN))


def test_an_unknown_or_disconnected_node_keeps_its_tasks_for_now():
    assert nodes.can_keep_tasks(builders.node(state=NodeState.UNKNOWN))
    assert nodes.can_keep_tasks(builders.node(state=NodeState.DISCONNECTED))
    assert not nodes.can_take_tasks(builders.node(state=NodeState.UNKNOWN))


def test_a_manager_is_known_by_its_certificates_role():
    promoted = builders.node(spec={"desired_role": api.NodeRole.MANAGER})
    assert not nodes.is_manager(promoted)
    assert nodes.is_manager(builders.node(role=api.NodeRole.MANAGER))
