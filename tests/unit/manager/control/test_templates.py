"""Which templates a container spec may have, and what is told of the others."""

import contextlib

import pytest
from hypothesis import given, strategies

from swarmd import api
from workers.manager.control.templates import TemplateError, expand_container

SERVICE = "struct { ID string; Name string; Labels map[string]string }"
NO_OOPS = "can't evaluate field Oops in type"
NO_FIELD = "can't evaluate field {0} in type *template.Context"


def env(template: str) -> str:
    """What the value of an environment variable becomes."""
    made = expand_container(api.ContainerSpec(env=[f"A={template}"]))
    return made.env[0].removeprefix("A=")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{.Service.Name}}-{{.Task.Slot}}", "servicename-1"),
        ("{{.Service.ID}} {{.Task.Name}}", "serviceid taskname"),
        ("{{.Node.ID}} {{.Node.Hostname}}", "nodeid nodeHostname"),
        ("{{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}", "os/architecture"),
        ("[{{.Task.ID}}]", "[]"),
        ("{{ .Service.Name }}", "servicename"),
        ("a {{- .Service.Name -}} b", "aservicenameb"),
        ("{{/* note */}}x", "x"),
        ("a {{- /* note */ -}} b", "ab"),
        ('{{"a}}b"}}', "a}}b"),
        (r'{{"\t\x41B"}}', "\tAB"),
        ("{{`raw\\`}}", "raw\\"),
        ("{{1}} {{0x10}} {{1.5}} {{true}} {{'a'}}", "1 16 1.5 true 97"),
        ('{{join "," "a" "b"}}', "a,b"),
        ('{{.Task.Slot | printf "%s-%03d" "x" 7}}', "x-007%!(EXTRA string=1)"),
        ("{{printf `%d %s %%` `a`}}", "%!d(string=a) %!s(MISSING) %"),
        ('{{printf "%s-%q" .Service.Name "x"}}', 'servicename-"x"'),
        ('{{"b" | join "-" "a"}}', "a-b"),
        ("{{len .Service.Name}}", "11"),
        ('{{index .Service.Labels "any"}}', ""),
        ("{{slice .Service.Name 0 7}}", "service"),
        ('{{if eq .Node.Platform.OS "linux"}}a{{else}}b{{end}}', "b"),
        ('{{if eq .Node.Platform.OS "linux" "os"}}a{{end}}', "a"),
        ("{{if .Task.ID}}a{{else if .Task.Slot}}b{{else}}c{{end}}", "b"),
        ("{{with .Service}}{{.Name}} {{$.Node.ID}}{{end}}", "servicename nodeid"),
        ("{{with .Task.ID}}a{{else}}b{{end}}", "b"),
        ("{{range .Service.Labels}}a{{else}}none{{end}}", "none"),
        ("{{range $k, $v := .Service.Labels}}{{$k}}{{end}}", ""),
        ("{{$x := .Task.Slot}}{{$x}}{{$x = `2`}}{{$x}}", "12"),
        ("{{(.Service).Name}}", "servicename"),
        ("{{or .Task.ID .Task.Slot}} {{and .Task.Slot .Node.ID}}", "1 nodeid"),
        ("{{not .Task.ID}} {{ne 1 2}} {{lt 1 2}} {{ge `b` `a`}}", "true true true true"),
        ("{{.Service}}", "{serviceid servicename map[]}"),
        ("{{html `<a>`}}{{urlquery `a b`}}", "&lt;a&gt;a+b"),
        ("}} stray", "}} stray"),
    ],
)
def test_is_filled_in(template: str, text: str) -> None:
    assert text == env(template)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (
            "{{.Oops}}",
            f'1:2: executing "expansion" at <.Oops>: {NO_FIELD.format("Oops")}',
        ),
        (
            "a\nb{{.Service.Oops}}",
            f'2:11: executing "expansion" at <.Service.Oops>: {NO_OOPS} {SERVICE}',
        ),
        (
            "{{.Service.Labels.any}}",
            '1:10: executing "expansion" at <.Service.Labels.any>: map has no entry for key "any"',
        ),
        ("{{.Service.Name", "1: unclosed action"),
        ('{{"a}}', "1: unterminated quoted string"),
        ("{{#}}", "1: unexpected bad character U+0023 '#' in command"),
        ("{{}}", "1: missing value for command"),
        ("{{if .Task.ID}}a", "1: unexpected EOF"),
        ("a{{end}}", "1: unexpected {{end}}"),
        ("{{(.Task.ID}}", "1: unclosed left paren"),
        ('{{secret "x"}}', '1: function "secret" not defined'),
        ("{{$x}}", ' undefined variable "$x"'),
        ("{{/* note", "1: unclosed comment"),
        ("{{/* note */ 1}}", "1: comment ends before closing delimiter"),
        ("{{" + "(" * 10_000 + "1" + ")" * 10_000 + "}}", " it is nested too deep"),
        ("{{break}}", "1: {{break}} is not supported in a spec"),
    ],
)
def test_cannot_be_filled_in(template: str, told: str) -> None:
    with pytest.raises(TemplateError) as caught:
        env(template)
    sentence = str(caught.value)
    assert sentence.startswith("expanding env failed: expanding env ")
    assert sentence.endswith(f": template: expansion:{told}")


@pytest.mark.parametrize(
    "template",
    [
        "{{.Service.Name.Foo}}",
        "{{.Service.Name 1}}",
        "{{index .Service.Name `a`}}",
        "{{len 1}}",
        "{{eq 1 `a`}}",
        "{{nil}}",
        "{{range 1000000000}}{{end}}",
        "{{/*" * 100_000,
        "{{range .Service.Name}}{{end}}",
        "{{1 | 2}}",
        "{{.Service.}}",
        "{{true.x}}",
        "{{1a}}",
        "{{else}}",
        "{{if .Task.ID}}{{else}}{{else}}{{end}}",
    ],
)
def test_is_an_error(template: str) -> None:
    with pytest.raises(TemplateError):
        env(template)


@pytest.mark.parametrize(
    ("container", "told"),
    [
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
            'expanding mounts failed: expanding volume labels: expanding map entry "k"="{{.X}}": ',
        ),
        (
            {"mounts": [{"volume_options": {"driver_config": {"options": {"k": "{{.X}}"}}}}]},
            "expanding mounts failed: expanding volume driver config: ",
        ),
    ],
)
def test_the_field_at_fault_is_named(container: dict[str, object], told: str) -> None:
    with pytest.raises(TemplateError) as caught:
        expand_container(api.ContainerSpec(**container))  # type: ignore[arg-type]
    assert str(caught.value).startswith(told)


def test_other_fields_are_left_as_they_are() -> None:
    spec = api.ContainerSpec(image="{{.X}}", args=["{{.X}}"], env=["{{.X}}", "A=1"])
    assert spec == expand_container(spec)


PIECES = [
    "{{", "}}", "{{-", "-}}", "/*", "*/", " ", "\n", ".", "$", "$x", ":=", "=", "|", "(", ")", ",",
    ".Service", ".Name", ".Labels", ".Task.Slot", "if", "else", "end", "range", "with", "printf",
    "index", "slice", "join", "eq", "lt", "len", "html", "js", "urlquery", "and", "not", "nil",
    "true", "1", "-1", "1e999", "0x", "99999999999", '"%c"', '"%d"', "`%s`", '"', "`", "'", "'a'",
    '"\\ud800"', '"\\U99999999"', '"\\8"', "é", "\\",
]  # fmt: skip


@given(strategies.lists(strategies.sampled_from(PIECES), max_size=30).map("".join))
def test_any_text_is_filled_in_or_at_fault(text: str) -> None:
    with contextlib.suppress(TemplateError):
        env("{{" + text + "}}")
