"""A task's spec with its templates filled in."""

import pytest

from swarmd import api
from tests import builders
from workers.agent.executors.errors import RejectedError
from workers.agent.templates import expand_spec

SERVICE = builders.service("web", labels={"zone": "a", "rack": "b"})
NODE = builders.node("host-1", id="n1")


def spec_of(**fields) -> api.ContainerSpec:
    task = builders.task(SERVICE, slot=3, node_id="n1")
    task.spec.container.CopyFrom(builders.container(**fields))
    before = task.SerializeToString(deterministic=True)
    expanded = expand_spec(task, NODE)
    assert before == task.SerializeToString(deterministic=True), "the task itself stays as it is"
    return expanded


def test_it_sees_the_task_and_the_node():
    template = "A={{.Service.Name}}.{{.Task.Slot}}@{{.Node.Hostname}}"
    assert ["A=web.3@host-1"] == spec_of(env=[template]).env


def test_it_may_have_all_that_a_manager_accepts():
    template = "A={{$s := `,`}}{{range $k, $v := .Service.Labels}}{{$k}}={{$v}}{{$s}}{{end}}"
    assert ["A=rack=b,zone=a,"] == spec_of(env=[template]).env
    assert ["A=a"] == spec_of(env=["A={{with .Service.Labels}}{{.zone}}{{end}}"]).env


def test_the_command_is_a_template_for_host_processes_alone():
    assert ["run", "3"] == spec_of(command=["run", "{{.Task.Slot}}"]).command
    assert ["{{.Task.Slot}}"] == spec_of(image="nginx", command=["{{.Task.Slot}}"]).command


def test_a_bad_template_names_its_field_and_rejects_the_task():
    with pytest.raises(RejectedError) as refused:
        spec_of(env=["A={{.Nope}}"])
    assert str(refused.value).startswith('expanding env failed: expanding env "A={{.Nope}}": ')
