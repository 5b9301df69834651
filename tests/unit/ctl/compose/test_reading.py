"""YAML as Docker's parser reads it, and what is bounded."""

import time

import pytest

from swarmd.ctl.compose import reading
from swarmd.ctl.compose.errors import ComposeError


def read(text: str) -> object:
    return reading.read("f.yml", text.encode()).value


def refused(text: str | bytes) -> str:
    data = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(ComposeError) as caught:
        reading.read("f.yml", data)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("n", "n"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("22:22", "22:22"),
        ("2020-01-01", "2020-01-01"),
        ("0640", 0o640),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b101", 5),
        ("-12", -12),
        ("1_000", 1000),
        ("0", 0),
        ("3.8", 3.8),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
        ("08", 8),
        ("=", "="),
        ("_", "_"),
        ("9" * 40, "9" * 40),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("!!int 1", 1),
        ('"a\\tb"', "a\tb"),
        ("|\n  a\n  b\n", "a\nb\n"),
        (">-\n  a\n  b\n", "a b"),
    ],
)
def test_a_scalar_is_what_docker_takes_it_for(text: str, value: object):
    found = read(f"a: {text}\n")
    assert {"a": value} == found
    assert type(value) is type(found["a"])


def test_anchors_and_merges_are_written_out():
    text = """
x-a: &a {image: host, user: root}
x-b: &b {image: other, tty: true}
one: {<<: *a, user: bob}
two: {<<: [*a, *b]}
three: {<<: *one}
"""
    with pytest.raises(ComposeError, match="no anchor &one"):
        read(text)
    found = read(text.replace("one: {", "one: &one {"))
    assert {"image": "host", "user": "bob"} == found["one"]
    assert {"image": "host", "user": "root", "tty": True} == found["two"]
    assert found["one"] == found["three"]


def test_each_value_has_its_line():
    document = reading.read("f.yml", b"a:\n  - b\n  - c: 1\n\nd: 2\n")
    assert 3 == document.line(("a", 1, "c"))
    assert 5 == document.line(("d", "nothing", "there"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "f.yml: is empty"),
        ("a: 1\na: 2\n", "f.yml:2: the key 'a' is there twice"),
        ("a:\n  b: 1\n\tc: 2\n", "line 3, column 1: a tab; YAML is indented with spaces"),
        ("a: [1, 2\n", "line 2, column 1: did not find expected ',' or ']'"),
        ("a: 1\n---\nb: 2\n", "f.yml:2: holds more than one document"),
        ("1: a\n", "f.yml:1: 1 is no key: keys are text; put it in quotes"),
        ("[a]: b\n", "a list or mapping is no key"),
        ("a: !reset x\n", "f.yml:1: the tag !reset means nothing here"),
        ("a: !!binary x\n", "the tag !!binary means nothing here"),
        ("a: !!int x\n", "'x' is not what its tag !!int says"),
        ("a: *b\n", "f.yml:1: there is no anchor &b before this"),
        ("a: &a [*a]\n", "there is no anchor &a before this"),
        ("a: {<<: 1}\n", "<< takes a mapping, or a list of mappings"),
        ("a: \x01\n", "is not YAML: unacceptable character #x0001"),
        (b"a: b\nc: \xff\n", "f.yml:2: is not UTF-8 text"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str | bytes, sentence: str):
    assert sentence in refused(text)


def test_a_bom_is_no_part_of_the_file():
    assert {"a": 1} == reading.read("f.yml", b"\xef\xbb\xbfa: 1\n").value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("#" * (10 << 20), "is too long: a compose file may have 4 MiB"),
        ("[" * 100_000, "is nested more than 64 deep"),
        ("a: " + "{b: " * 100_000, "is nested more than 64 deep"),
        ("- 1\n" * 300_000, "has more than 200000 values"),
        (
            "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)),
            "values, aliases written out",
        ),
    ],
    ids=["10 MiB", "deep lists", "deep mappings", "many values", "alias bomb"],
)
def test_a_file_that_would_be_too_much_is_refused_soon(text: str, sentence: str):
    begun = time.process_time()
    assert sentence in refused(text)
    assert 10 > time.process_time() - begun
