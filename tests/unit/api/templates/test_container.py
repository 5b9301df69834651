"""Which fields of a container may have templates."""

import pytest

from swarmd import api
from swarmd.api.templates import TemplateError, context, expand_container
from tests import builders

SERVICE = builders.service("web")
VALUES = context(
    builders.task(SERVICE, slot=3, node_id="n1", id="t1"), builders.node("host-1", id="n1")
)


def test_env_hostname_and_mounts_are_templates():
    options = api.Mount.VolumeOptions(
        labels={"s": "{{.Service.Name}}"},
        driver_config=api.Driver(name="d{{", options={"o": "{{.Task.Slot}}"}),
    )
    mount = api.Mount(source="/{{.Task.Slot}}", target="/t{{.Node.ID}}", volume_options=options)
    spec = api.ContainerSpec(
        image="nginx",
        env=["A={{.Service.Name}}={{.Task.Slot}}", "{{B}}", "C="],
        hostname="{{.Node.Hostname}}-{{.Task.Slot}}",
        mounts=[mount],
    )
    before = spec.SerializeToString(deterministic=True)
    made = expand_container(spec, VALUES)
    assert ["A=web=3", "{{B}}", "C="] == list(made.env)
    assert "host-1-3" == made.hostname
    assert ("/3", "/tn1") == (made.mounts[0].source, made.mounts[0].target)
    assert {"s": "web"} == made.mounts[0].volume_options.labels
    assert {"o": "3"} == made.mounts[0].volume_options.driver_config.options
    assert before == spec.SerializeToString(deterministic=True), "the spec itself stays as it is"


def test_command_args_and_dir_are_templates_for_host_processes_alone():
    spec = api.ContainerSpec(
        command=["run", "{{.Task.Slot}}"], args=["{{.Service.Name}}"], dir="/{{.Node.ID}}"
    )
    host = expand_container(spec, VALUES, is_host_process=True)
    assert (["run", "3"], ["web"], "/n1") == (list(host.command), list(host.args), host.dir)
    assert spec == expand_container(spec, VALUES)


def test_other_fields_are_left_as_they_are():
    spec = api.ContainerSpec(image="{{.X}}", user="{{.X}}", env=["{{.X}}", "A=1"], mounts=[{}])
    assert spec == expand_container(spec, VALUES, is_host_process=True)


def test_half_a_character_is_shown_as_one_that_is_unknown():
    spec = api.ContainerSpec(env=['A={{slice "é" 1}}'])
    assert ["A=\ufffd"] == expand_container(spec, VALUES).env


VOLUME = "expanding mounts failed: expanding volume"


@pytest.mark.parametrize(
    ("container", "told"),
    [
        ({"env": ["A={{.X}}"]}, 'expanding env failed: expanding env "A={{.X}}": template: '),
        ({"hostname": "{{.X}}"}, "expanding hostname failed: template: "),
        (
            {"mounts": [{"source": "{{.X}}"}]},
            'expanding mounts failed: expanding mount source "{{.X}}": template: ',
        ),
        (
            {"mounts": [{"target": "{{.X}}"}]},
            'expanding mounts failed: expanding mount target "{{.X}}": template: ',
        ),
        (
            {"mounts": [{"volume_options": {"labels": {"k": "{{.X}}"}}}]},
            f'{VOLUME} labels: expanding map entry "k"="{{{{.X}}}}": ',
        ),
        (
            {"mounts": [{"volume_options": {"driver_config": {"options": {"k": "{{.X}}"}}}}]},
            f"{VOLUME} driver config: ",
        ),
        ({"command": ["{{.X}}"]}, "expanding command failed: template: "),
        ({"args": ["{{.X}}"]}, "expanding args failed: template: "),
        ({"dir": "{{.X}}"}, "expanding dir failed: template: "),
    ],
)
def test_the_field_at_fault_is_named(container, told):
    with pytest.raises(TemplateError) as caught:
        expand_container(api.ContainerSpec(**container), VALUES, is_host_process=True)
    assert str(caught.value).startswith(told)
