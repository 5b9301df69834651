"""`--filter key=value`, as Docker's lists take it (pure).

A key given twice asks for either value, different keys must all hold; labels must all hold.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

One = TypeVar("One")
Test = Callable[[Any, str], bool]
_ALL_MUST_HOLD: Final = frozenset({"label", "node.label"})


def filter_option(tests: Mapping[str, Test]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--filter with these keys."""
    return click.option(
        "-f",
        "--filter",
        "filters",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"Show only what is so; KEY is {_any_of(tests)}",
    )


def filtered(found: Sequence[One], texts: Sequence[str], tests: Mapping[str, Test]) -> list[One]:
    """Those that every filter takes, in their order; raises BadParameter for an unknown key."""
    wanted: dict[str, list[str]] = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or key.strip() not in tests:
            raise click.BadParameter(
                f"{text!r} is not KEY=VALUE, with KEY one of {_any_of(tests)}",
                param_hint="--filter",
            )
        wanted.setdefault(key.strip(), []).append(value.strip())
    return [
        one
        for one in found
        if all(_holds(tests[key], one, key, values) for key, values in wanted.items())
    ]


def _holds(test: Test, one: Any, key: str, values: Sequence[str]) -> bool:
    quantifier = all if key in _ALL_MUST_HOLD else any
    return quantifier(test(one, value) for value in values)


def one_of(*names: str) -> Callable[[Callable[[Any], str]], Test]:
    """A test of a field that has one of these values, whatever the case."""

    def of(field: Callable[[Any], str]) -> Test:
        def test(one: Any, value: str) -> bool:
            if value.lower() not in names:
                raise click.BadParameter(
                    f"{value!r} is not {', '.join(names)}", param_hint="--filter"
                )
            return field(one).lower() == value.lower()

        return test

    return of


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """KEY, or KEY=VALUE."""
    key, separator, value = wanted.partition("=")
    return key in labels and (not separator or labels[key] == value)


def is_id(one: Any, prefix: str) -> bool:
    return str(one.id).startswith(prefix)


def is_name(one: Any, prefix: str) -> bool:
    return str(one.spec.annotations.name).startswith(prefix)


def is_labelled(one: Any, wanted: str) -> bool:
    return has_label(one.spec.annotations.labels, wanted)


# What secrets, configs and networks have alike.
BY_ANNOTATIONS: Final[Mapping[str, Test]] = {"id": is_id, "label": is_labelled, "name": is_name}


def _any_of(tests: Mapping[str, Test]) -> str:
    *others, last = sorted(tests)
    return f"{', '.join(others)} or {last}" if others else last
