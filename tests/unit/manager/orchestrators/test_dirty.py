import pytest

from swarmd import api
from tests import builders
from workers.manager.orchestrators import new_task
from workers.manager.orchestrators.dirty import is_dirty

State = api.TaskState


@pytest.fixture
def node():
    return builders.node(labels={"zone": "a"})


def changed(edit, state=State.RUNNING):
    """A service after that change, and a task from before."""
    service = builders.service()
    task = new_task.from_template(new_task.template(service, None, 0), "id", slot=1)
    task.status.state = state
    service.spec_version.index += 1
    edit(service.spec)
    return service, task


def test_the_same_version_is_clean_without_a_look(node):
    service, task = changed(lambda spec: setattr(spec.task.container, "image", "new"))
    service.spec_version.CopyFrom(task.spec_version)
    assert not is_dirty(service, task, node)


def test_a_version_that_changes_nothing_of_the_task_is_clean(node):
    assert not is_dirty(*changed(lambda spec: spec.annotations.labels.update(a="b")), node)


@pytest.mark.parametrize(
    "edit",
    [
        lambda spec: setattr(spec.task.container, "image", "new"),
        lambda spec: setattr(spec.task, "force_update", 1),
        lambda spec: setattr(spec.task.restart, "max_attempts", 1),
        lambda spec: setattr(spec.task.log_driver, "name", "syslog"),
        lambda spec: setattr(spec.endpoint, "mode", api.EndpointSpec.ResolutionMode.DNSRR),
        lambda spec: spec.task.placement.constraints.append("node.labels.zone==b"),
    ],
    ids=["image", "force", "restart", "log driver", "endpoint mode", "unmet constraint"],
)
def test_what_an_update_must_replace(edit, node):
    assert is_dirty(*changed(edit), node)


@pytest.mark.parametrize(
    "edit",
    [
        lambda spec: spec.task.placement.constraints.append("node.labels.zone==a"),
        lambda spec: setattr(spec.task.placement, "max_replicas", 2),
        lambda spec: spec.task.placement.platforms.add(os="linux"),
        lambda spec: spec.task.placement.preferences.add(),
        lambda spec: setattr(spec.task.container.pull_options, "registry_auth", "secret"),
    ],
    ids=["met constraint", "max replicas", "platforms", "preferences", "registry auth"],
)
def test_what_replaces_no_task(edit, node):
    assert not is_dirty(*changed(edit), node)


def test_a_constraint_is_not_met_on_no_node():
    edit = changed(lambda spec: spec.task.placement.constraints.append("node.labels.zone==a"))
    assert is_dirty(*edit, None)


def test_how_to_pull_matters_to_a_task_that_has_not_pulled_yet(node):
    service, task = changed(
        lambda spec: setattr(spec.task.container.pull_options, "registry_auth", "secret"),
        State.PREPARING,
    )
    assert is_dirty(service, task, node)
