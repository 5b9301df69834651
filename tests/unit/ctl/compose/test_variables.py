"""${NAME} in values."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.ctl.compose.errors import ComposeError
from swarmd.ctl.compose.variables import fill_in, substitute

SET = {"A": "x", "EMPTY": "", "_b1": "y"}
NAMES = st.from_regex(r"[_a-zA-Z][_a-zA-Z0-9]{0,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("$A", "x"),
        ("${A}", "x"),
        ("$A$_b1-z", "xy-z"),
        ("a$${A}", "a${A}"),
        ("$$$A", "$x"),
        ("${NONE}", ""),
        ("${NONE:-d}", "d"),
        ("${NONE-d}", "d"),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY-d}", ""),
        ("${A:-d}", "x"),
        ("${NONE:-a:b-c?d}", "a:b-c?d"),
        ("${A:?why}", "x"),
        ("${EMPTY?why}", ""),
        ("${NONE:-}", ""),
        ("no variable", "no variable"),
    ],
)
def test_a_variable_becomes_its_value(text: str, filled: str):
    assert filled == substitute(text, SET)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("${NONE:?set it}", "the variable NONE has to be set: set it"),
        ("${EMPTY:?}", "the variable EMPTY has to be set"),
        ("${NONE?my-reason}", "the variable NONE has to be set: my-reason"),
        ("a $ b", "no variable begins at '$ b'; write $$ for a $ itself"),
        ("${}", "no variable begins at '${}'"),
        ("${1}", "no variable begins at '${1}'"),
        ("${A", "no variable begins at '${A'"),
        ("${A+x}", "no variable begins at '${A+x}'"),
        ("${NONE:-${A}}", "a default cannot hold a variable"),
    ],
)
def test_what_is_no_variable_is_refused(text: str, sentence: str):
    with pytest.raises(ComposeError, match=re.escape(sentence)):
        substitute(text, SET)


@given(st.text())
def test_a_text_with_each_dollar_doubled_stays_itself(text: str):
    assert text == substitute(text.replace("$", "$$"), {})


@given(NAMES, st.text(), st.text(alphabet=st.characters(exclude_characters="$}")))
def test_a_value_is_taken_as_it_is_and_a_default_only_without_one(
    name: str, value: str, default: str
):
    text = f"<${{{name}:-{default}}}>"
    assert f"<{value or default}>" == substitute(text, {name: value})
    assert f"<{default}>" == substitute(text, {})


def test_every_value_is_filled_in_and_no_key():
    found = fill_in({"$A": ["$A", {"b": "$A"}, 1, None]}, SET)
    assert {"$A": ["x", {"b": "x"}, 1, None]} == found
