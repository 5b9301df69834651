"""--format: what each form prints."""

import click
import pytest
from rich.text import Text

from swarmd.ctl.formats import fill, show_list, show_objects

COLUMNS = {"ID": "ID", "Name": "NAME", "Label": "LABEL"}
ROWS = [
    {"ID": "1", "Name": Text("web", style="green"), "Label": {"a": "x"}.get},
    {"ID": "2", "Name": "db", "Label": {"a": "y"}.get},
]


def printed(capsys: pytest.CaptureFixture[str], form: str, **fields: object) -> list[str]:
    show_list(form, COLUMNS, ROWS, shown=("ID", "Name"), **fields)  # type: ignore[arg-type]
    return capsys.readouterr().out.splitlines()


def test_a_table_shows_the_usual_columns(capsys):
    assert ["ID  NAME", "1   web", "2   db"] == printed(capsys, "table")


def test_ids_alone(capsys):
    assert ["1", "2"] == printed(capsys, "table", quiet=True)


def test_a_template_is_filled_in_for_each(capsys):
    assert ["1: WEB", "2: DB"] == printed(capsys, "{{.ID}}: {{upper .Name}}")


def test_a_table_of_a_template_has_its_titles(capsys):
    shown = printed(capsys, r"table {{upper .Name}}\t{{.ID}}")
    assert ["NAME  ID", "WEB   1", "DB    2"] == shown


def test_a_field_may_take_an_argument(capsys):
    show_list('{{.Label "a"}}', {**COLUMNS, "Label": str}, ROWS)  # type: ignore[dict-item]
    assert ["x", "y"] == capsys.readouterr().out.splitlines()


def test_json_is_an_object_a_line_without_colour(capsys):
    assert ['{"ID":"1","Name":"web"}', '{"ID":"2","Name":"db"}'] == printed(capsys, "json")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("{{.Nmae}}", "can't evaluate field Nmae in type object (fields: ID, Name, Label)"),
        ("{{.ID", "unclosed action"),
        ("{{nothing .ID}}", 'function "nothing" not defined'),
    ],
)
def test_what_is_wrong_in_a_template_is_said_even_without_rows(form: str, words: str):
    with pytest.raises(click.BadParameter) as caught:
        show_list(form, COLUMNS, [])
    assert words in caught.value.message


def test_objects_as_json_leave_out_what_is_not_set(capsys):
    show_objects("json", [{"A": None, "B": {"C": None, "D": []}}])
    assert '[\n    {\n        "B": {\n            "D": []\n        }\n    }\n]\n' == (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{json .List}}", '["a","b"]'),
        ("{{range .List}}{{.}};{{end}}", "a;b;"),
        ("{{range $i, $one := .List}}{{$i}}{{$one}}{{end}}", "0a1b"),
        ("{{len .List}} {{index .List 1}} {{.List}}", "2 b [a b]"),
        ('{{join .List "-"}} {{index (split "x,y" ",") 1}}', "a-b y"),
        ('{{pad "x" 1 2}}|{{title "web one"}}|{{truncate "abcdef" 3}}', " x  |Web One|abc"),
        ("{{if .None}}yes{{else}}no{{end}}", "no"),
    ],
)
def test_dockers_functions_are_there(template: str, expected: str):
    assert expected == fill(template, {"List": ["a", "b"], "None": None})
