"""Go's templates, as far as task specs use them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd import api
from tests import builders
from workers.agent.executors.errors import RejectedError
from workers.agent.template_syntax import TemplateError
from workers.agent.templates import context, expand, expand_spec

SERVICE = builders.service("web", labels={"zone": "a", "com.example.tier": "front"})
TASK = builders.task(SERVICE, slot=3, node_id="n1", id="t1")
NODE = builders.node("host-1", id="n1")
FACTS = context(TASK, NODE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("}} {single} %s", "}} {single} %s"),
        ("{{.Service.ID}}", SERVICE.id),
        ("{{.Service.Name}}-{{.Task.Slot}}", "web-3"),
        ("{{ .Node.ID }}/{{ .Node.Hostname }}", "n1/host-1"),
        ("{{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}", "linux/x86_64"),
        ("{{.Task.ID}} {{.Task.Name}}", "t1 web.3.t1"),
        ('{{index .Service.Labels "com.example.tier"}}', "front"),
        ('{{index .Service.Labels "none"}}.', "."),
        ("{{.Service.Labels.zone}}", "a"),
        ("{{.Service.Labels}}", "map[com.example.tier:front zone:a]"),
        ('{{join "-" .Service.Name .Task.Slot "x"}}', "web-3-x"),
        ('{{"a\\tb"}}{{`c\\n`}}', "a\tbc\\n"),
        ('{{"{{"}}', "{{"),
        ('{{printf "%s:%05d:%q:%-4v|%%" .Service.Name 42 "x" true}}', 'web:00042:"x":true|%'),
        ('{{.Service.Name | printf "%s-%s" "a"}}', "a-web"),
        ("{{len .Service.Name}}", "3"),
        ("a {{- 1 -}} b", "a1b"),
        ("a\n{{- /* a remark */ -}}\nb", "ab"),
        ('{{if eq .Service.Name "web" "api"}}yes{{else}}no{{end}}', "yes"),
        ("{{if .Service.Labels.zone}}{{.Node.ID}}{{end}}", "n1"),
        ('{{if ne .Task.Slot "3"}}1{{else if not .Service.Labels}}2{{else}}3{{end}}', "3"),
        ('{{or (index .Service.Labels "none") "fallback"}}', "fallback"),
        ('{{and .Service.Name ""}}.', "."),
        ("{{true}} {{-7}}", "true -7"),
        ("{{(index .Service.Labels `zone`)}}", "a"),
    ],
)
def test_a_template_is_filled_in_as_go_does(text, expected) -> None:
    assert expected == expand(text, FACTS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{.Service.Nme}}", "there is no .Service.Nme"),
        ("{{.Service.Labels.none}}", "there is no .Service.Labels.none"),
        ("{{.Service.Name.First}}", ".Service.Name.First"),
        ("{{", "not closed"),
        ("{{.Service.Name", "not closed"),
        ("{{}}", "empty"),
        ("{{end}}", "without {{if}}"),
        ("{{if .Service}}x", "without {{end}}"),
        ("{{range .Service.Labels}}x{{end}}", "range is not supported"),
        ("{{$x := 1}}", "unexpected '$x"),
        ("{{secret `x`}}", "there is no function secret"),
        ("{{.Service.Name `x`}}", "is not a function"),
        ("{{len}}", "cannot take these arguments"),
        ("{{index .Service.Name 0}}", "cannot look into"),
        ("{{printf `%z` 1}}", "there is no verb"),
        ("{{printf `%s`}}", "no value"),
        ("{{(.Service.Name}}", "parenthesis"),
        ("{{" + "(" * 1000 + "}}", "nested too deeply"),
        ("{{if true}}" * 1000, "nested too deeply"),
    ],
)
def test_a_bad_template_is_refused_with_a_sentence(text, reason) -> None:
    with pytest.raises(TemplateError) as refused:
        expand(text, FACTS)
    assert reason in str(refused.value)


@given(st.text(alphabet='{}.|()-"`\\ \n/*azSN0%ifendlse', max_size=60))
def test_any_text_is_filled_in_or_refused(text) -> None:
    with contextlib.suppress(TemplateError):
        assert isinstance(expand("{{" + text + "}}", FACTS), str)


def test_a_global_task_has_its_node_for_a_slot() -> None:
    task = builders.task(SERVICE, slot=0, node_id="n1")
    assert "n1" == expand("{{.Task.Slot}}", context(task, NODE))


def test_functions_of_the_caller_count_too() -> None:
    assert "s3cret" == expand('{{secret "x"}}', FACTS, {"secret": lambda _: "s3cret"})


def spec_of(**fields) -> api.ContainerSpec:
    task = builders.task(SERVICE, slot=3, node_id="n1")
    task.spec.container.CopyFrom(builders.container(**fields))
    before = task.SerializeToString(deterministic=True)
    expanded = expand_spec(task, NODE)
    assert before == task.SerializeToString(deterministic=True), "the task itself stays as it is"
    return expanded


def test_env_hostname_and_mounts_are_templates() -> None:
    options = api.Mount.VolumeOptions(
        labels={"s": "{{.Service.Name}}"},
        driver_config=api.Driver(name="d{{", options={"o": "{{.Task.Slot}}"}),
    )
    spec = spec_of(
        image="nginx",
        env=["A={{.Service.Name}}={{.Task.Slot}}", "{{B}}", "C="],
        hostname="{{.Node.Hostname}}-{{.Task.Slot}}",
        mounts=[
            api.Mount(source="/{{.Task.Slot}}", target="/t{{.Node.ID}}", volume_options=options)
        ],
    )
    assert ["A=web=3", "{{B}}", "C="] == list(spec.env)
    assert "host-1-3" == spec.hostname
    mount = spec.mounts[0]
    assert ("/3", "/tn1") == (mount.source, mount.target)
    assert {"s": "web"} == dict(mount.volume_options.labels)
    assert {"o": "3"} == dict(mount.volume_options.driver_config.options)


def test_command_args_and_dir_are_templates_for_host_processes_alone() -> None:
    fields = {
        "command": ["run", "{{.Task.Slot}}"],
        "args": ["{{.Service.Name}}"],
        "dir": "/{{.Node.ID}}",
    }
    host = spec_of(**fields)
    assert (["run", "3"], ["web"], "/n1") == (list(host.command), list(host.args), host.dir)
    other = spec_of(image="nginx", **fields)
    assert (fields["command"], fields["dir"]) == (list(other.command), other.dir)


def test_a_bad_template_names_its_field_and_rejects_the_task() -> None:
    with pytest.raises(RejectedError) as refused:
        spec_of(env=["A={{.Nope}}"])
    assert "env: bad template '{{.Nope}}': there is no .Nope" == str(refused.value)


def test_what_the_node_does_not_tell_is_empty() -> None:
    assert "[]" == expand("[{{.Node.Hostname}}]", context(TASK, api.Node()))
