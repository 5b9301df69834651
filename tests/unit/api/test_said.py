"""What objects say, aside from what is observed of them."""

from swarmd import api
from swarmd.api import said
from tests import builders


def test_a_status_and_a_version_say_nothing():
    one = builders.task(state=api.TaskState.NEW)
    other = api.Task()
    other.CopyFrom(one)
    other.status.state = api.TaskState.RUNNING
    other.meta.version.index += 1
    assert said.is_same(one, other)
    other.spec.container.image = "other"
    assert not said.is_same(one, other)


def test_a_node_is_asked_in_the_same_way():
    one = builders.node("a", id="n")
    other = builders.node("a", id="n", state=api.NodeStatus.State.DOWN)
    assert said.is_same(one, other)
    assert not said.is_same(one, builders.node("b", id="n"))
