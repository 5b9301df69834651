"""What templates of a task see."""

import pytest

from swarmd import api
from swarmd.api.templates import context, expand
from tests import builders

SERVICE = builders.service("web", labels={"zone": "a", "com.example.tier": "front"})
TASK = builders.task(SERVICE, slot=3, node_id="n1", id="t1")
NODE = builders.node("host-1", id="n1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{.Service.ID}}", SERVICE.id),
        ("{{.Service.Name}}-{{.Task.Slot}}", "web-3"),
        ("{{ .Node.ID }}/{{ .Node.Hostname }}", "n1/host-1"),
        ("{{.Node.Platform.OS}}/{{.Node.Platform.Architecture}}", "linux/x86_64"),
        ("{{.Task.ID}} {{.Task.Name}}", "t1 web.3.t1"),
        ('{{index .Service.Labels "com.example.tier"}}', "front"),
        ("{{.Service.Labels.zone}}", "a"),
        ("{{.Service.Labels}}", "map[com.example.tier:front zone:a]"),
        ("{{if .Service.Labels.zone}}{{.Node.ID}}{{end}}", "n1"),
        ("{{(index .Service.Labels `zone`)}}", "a"),
        ("{{range .Service.Labels}}{{.}} {{end}}", "front a "),
        ("{{range $k, $v := .Service.Labels}}{{len $k}}={{$v}};{{end}}", "16=front;4=a;"),
        ("{{range $v := .Service.Labels}}{{$v}}{{end}}", "fronta"),
        ("{{$k := ``}}{{$last := ``}}{{range $k, $last = .Service.Labels}}{{end}}{{$last}}", "a"),
        ("{{$n := `x`}}{{range .Service.Labels}}{{$n = .}}{{end}}{{$n}}", "a"),
        ("{{with .Service.Labels}}{{len .}}{{end}}", "2"),
    ],
)
def test_names_what_is_known_of_it(text, expected):
    assert expected == expand(text, context(TASK, NODE))


def test_a_global_task_has_its_node_for_a_slot():
    task = builders.task(SERVICE, slot=0, node_id="n1")
    assert "n1" == expand("{{.Task.Slot}}", context(task, NODE))


def test_what_the_node_does_not_tell_is_empty():
    assert "[]" == expand("[{{.Node.Hostname}}]", context(TASK, api.Node()))
