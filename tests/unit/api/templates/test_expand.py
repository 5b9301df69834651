"""What becomes of a template, and what is told of one that cannot be filled in."""

import contextlib

import pytest
from hypothesis import given, strategies

from swarmd import api
from swarmd.api.templates import TemplateError, context, expand

SERVICE = "struct { ID string; Name string; Labels map[string]string }"
NO_TEXT = "error calling join: wrong type for value; expected string; got int"
NO_OOPS = "can't evaluate field Oops in type"
NO_FIELD = "can't evaluate field {0} in type *template.Context"


VALUES = context(
    api.Task(
        annotations={"name": "taskname"},
        service_id="serviceid",
        service_annotations={"name": "servicename"},
        slot=1,
        node_id="nodeid",
    ),
    api.Node(
        description={
            "hostname": "nodeHostname",
            "platform": {"os": "os", "architecture": "architecture"},
        }
    ),
)


def filled(template: str) -> str:
    return expand(template, VALUES)


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
        ("}} stray {single} %s", "}} stray {single} %s"),
        ('{{"{{"}}', "{{"),
        ('{{printf "%s:%05d:%q:%-6v|%%" "web" 42 "x" true}}', 'web:00042:"x":true  |%'),
        ("{{printf `%t %x %v %z` true `az` 7 1}}", "true 617a 7 %!z(int=1)"),
        ("a\n{{- /* a remark */ -}}\nb", "ab"),
        ("{{-7}} {{0755}} {{1_000}} {{1e6}} {{1e3}} {{0.5}}", "-7 493 1000 1e+06 1000 0.5"),
        ("{{index `abc` 1}}", "98"),
        ("{{slice `é` 0 2}}{{urlquery `é`}}", "é%C3%A9"),
        ("{{or `` (and `a` ``) `fallback`}}", "fallback"),
        ("{{if eq .Task.Slot `2`}}a{{else if eq .Task.Slot `1`}}b{{else}}c{{end}}", "b"),
        ("{{with .Task.ID}}a{{else with .Task.Slot}}b{{.}}{{end}}", "b1"),
        ("{{$x := `a`}}{{if true}}{{$x := `b`}}{{$x}}{{end}}{{$x}}", "ba"),
        ("{{$x := `a`}}{{if $y := $x}}{{$x = print $y $y}}{{end}}{{$x}}", "aa"),
    ],
)
def test_is_filled_in(template: str, text: str) -> None:
    assert text == filled(template)


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
        ("{{$x}}", '1: undefined variable "$x"'),
        ("{{/* note", "1: unclosed comment"),
        ("{{/* note */ 1}}", "1: comment ends before closing delimiter"),
        ("{{" + "(" * 10_000 + "1" + ")" * 10_000 + "}}", "1: it is nested too deep"),
        ("{{if true}}" * 1000, "1: it is nested too deep"),
        (
            "{{len}}",
            '1:2: executing "expansion" at <len>: wrong number of args for len: want 1 got 0',
        ),
        (
            "{{join `,` 1}}",
            f'1:2: executing "expansion" at <join>: {NO_TEXT}',
        ),
        ("{{if true}}{{else}}{{nope}}{{end}}", '1: function "nope" not defined'),
        ("{{if true}}{{$x := 1}}{{end}}{{$x}}", '1: undefined variable "$x"'),
        ("{{$x = 1}}", '1: undefined variable "$x"'),
        ("{{$x, $y := .Service.Labels}}", "1: too many declarations in command"),
        ("{{9999999999999999999}}", '1: integer overflow: "9999999999999999999"'),
        ("{{1a}}", '1: bad number syntax: "1a"'),
        ("{{'ab'}}", "1: malformed character constant: 'ab'"),
        ("{{if true}}{{else}}{{else}}{{end}}", "1: expected end; found {{else}}"),
        ("{{break}}", "1: {{break}} is not supported in a spec"),
    ],
)
def test_cannot_be_filled_in(template: str, told: str) -> None:
    with pytest.raises(TemplateError) as caught:
        filled(template)
    assert f"template: expansion:{told}" == str(caught.value)


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
        "{{0x" + "f" * 5000 + "}}",
        "{{index `abc` -1}}",
        "{{index `abc` true}}",
        "{{lt true false}}",
        "{{eq .Service .Service}}",
        "{{slice `abc` 4}}",
        "{{printf 1}}",
        "{{or 1 ($x := 2)}}{{$x}}",
        "{{if true}}{{else with true}}{{end}}",
        "{{range .Service.Labels}}{{else if true}}{{end}}",
        "{{else}}",
        "{{if .Task.ID}}{{else}}{{else}}{{end}}",
    ],
)
def test_is_an_error(template: str) -> None:
    with pytest.raises(TemplateError):
        filled(template)


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
        filled("{{" + text + "}}")


def test_functions_of_the_caller_count_too() -> None:
    assert "s3cret" == expand('{{secret "x"}}', VALUES, {"secret": lambda _: "s3cret"})


def test_a_function_of_the_caller_may_refuse() -> None:
    def refuse(name: str) -> str:
        raise TemplateError(f"there is no {name}")

    with pytest.raises(TemplateError, match="error calling secret: there is no x"):
        expand('{{secret "x"}}', VALUES, {"secret": refuse})


def test_bytes_that_are_no_text_come_out_as_they_went_in() -> None:
    payload = b"\xff{{len (slice .Task.Slot 0 1)}}{{`\xfe`}}".decode(errors="surrogateescape")
    assert b"\xff1\xfe" == filled(payload).encode(errors="surrogateescape")
    with pytest.raises(TemplateError, match="expansion:1:3: "):
        filled(payload[:1] + "{{.Oops}}")
