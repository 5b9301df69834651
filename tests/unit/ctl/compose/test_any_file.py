"""Whatever a file holds: specs, or one clear error; and what `stack config` writes is the same."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarmd.ctl.compose import reading, shapes, short_forms
from swarmd.ctl.compose.errors import ComposeError
from swarmd.ctl.compose.format import FILE
from swarmd.ctl.compose.project import load
from swarmd.ctl.compose.stack import stack_of
from swarmd.ctl.compose.writing import write
from tests.compose import around, project

SURROUNDINGS = around({"f": b"A=1\nB\n"}, HOME="/home/me", A="1", B="yes", C="$x")
TEXTS = st.one_of(
    st.sampled_from(
        ["", "a", "f", "yes", "0o17", "1e3", "08", "$$", "${A}", "$B", "${C:-d}", "a=b", "1:2", " "]
    ),
    st.text(max_size=12),
)
JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
NAMES = st.sampled_from(["web", "db", "a.b", "default"])


def _fields(shape: shapes.Fields) -> st.SearchStrategy[Any]:
    keys = {key: st.deferred(lambda one=one: like(one)) for key, one in shape.known.items()}
    required = {key: keys.pop(key) for key in shape.required}
    some = st.lists(st.sampled_from(sorted(keys)), max_size=5, unique=True) if keys else st.just([])
    return some.flatmap(
        lambda chosen: st.fixed_dictionaries(required | {key: keys[key] for key in chosen})
    )


LIKE: dict[type, Callable[[Any], st.SearchStrategy[Any]]] = {
    shapes.Text: lambda s: st.sampled_from(s.choices) if s.choices else TEXTS,
    shapes.Whole: lambda s: st.integers(s.least, min(s.most, 1 << 40)) | st.just("${A}"),
    shapes.Number: lambda _: st.floats(0, 1),
    shapes.Flag: lambda _: st.booleans() | st.just("${B}"),
    shapes.Duration: lambda _: st.sampled_from(["5s", "1m30s", "1h", "0s", "1.5ms"]),
    shapes.Size: lambda _: st.integers(0, 1 << 40) | st.sampled_from(["1k", "1.5G", "64mb"]),
    shapes.ListOf: lambda s: st.lists(like(s.item), max_size=3),
    shapes.MapOf: lambda s: st.dictionaries(NAMES, like(s.item), max_size=3),
    shapes.Pairs: lambda _: (
        st.dictionaries(st.text(min_size=1, max_size=5), TEXTS | st.none(), max_size=3)
        | st.lists(st.from_regex("[a-z]{1,3}(=[^\0$]{0,5})?", fullmatch=True), max_size=3)
    ),
    shapes.Fields: _fields,
    shapes.OneOf: lambda s: st.one_of(*map(like, s.shapes.values())),
    shapes.Turned: lambda s: like(s.shape),
}


def like(shape: shapes.Shape) -> st.SearchStrategy[Any]:
    """Values that the shape mostly takes."""
    return LIKE[type(shape)](shape)


def refuses_or_gives_specs(text: str) -> None:
    with contextlib.suppress(ComposeError):
        found = load([("f.yml", text.encode())], SURROUNDINGS)
        stack_of("st", found, SURROUNDINGS)


_BOUNDED = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@_BOUNDED
@given(like(FILE))
def test_a_file_of_known_keys_gives_specs_or_one_error(value: Any):
    refuses_or_gives_specs(yaml.safe_dump(value))


@_BOUNDED
@given(like(FILE), st.data())
def test_junk_anywhere_gives_one_error(value: Any, data: st.DataObject):
    at = value
    while isinstance(at, dict | list) and at:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or data.draw(st.booleans()):
            at[key] = data.draw(JUNK)
            break
        at = at[key]
    refuses_or_gives_specs(yaml.safe_dump(value))


@_BOUNDED
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode()))
def test_any_bytes_are_read_or_refused(data: bytes):
    with contextlib.suppress(ComposeError):
        reading.read("f.yml", data)


@_BOUNDED
@given(st.text(alphabet="ab:{}[]&*!|>-?,#'\"\n\t <$1", max_size=80))
def test_any_yaml_is_read_or_refused(text: str):
    refuses_or_gives_specs(text)
    refuses_or_gives_specs(f"services:\n  a:\n    image: host\n    {text}")


@_BOUNDED
@given(like(FILE))
def test_what_config_writes_is_the_same_project(value: Any):
    try:
        first = load([("f.yml", yaml.safe_dump(value).encode())], SURROUNDINGS).value
    except ComposeError:
        return
    assert first == load([("again.yml", write(first).encode())], SURROUNDINGS).value


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\0"))))
def test_words_are_split_as_they_were_quoted(words: list[str]):
    quoted = " ".join('"' + w.replace("\\", "\\\\").replace('"', '\\"') + '"' for w in words)
    assert words == short_forms.words(quoted)


@pytest.mark.parametrize("text", ["yes", "0o17", "1e3", "08", "~", "a: b", "#x", "é\u2028", "null"])
def test_text_stays_text(text: str):
    written = write(
        project(f"services: {{a: {{image: host, hostname: {json.dumps(text)}}}}}").value
    )
    assert text == project(written).section("services")["a"]["hostname"]
