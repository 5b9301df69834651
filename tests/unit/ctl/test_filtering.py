"""--filter: which of the objects are shown."""

import click
import pytest

from swarmd.ctl.filtering import BY_ANNOTATIONS, filtered
from tests import builders

WEB = builders.service("web", labels={"tier": "front", "zone": "a"})
WORKER = builders.service("worker", labels={"tier": "back"})
DB = builders.service("db")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ((), ["web", "worker", "db"]),
        (("name=w",), ["web", "worker"]),
        (("name=web", "name=db"), ["web", "db"]),
        (("label=tier",), ["web", "worker"]),
        (("label=tier=front",), ["web"]),
        (("label=tier", "label=zone"), ["web"]),
        (("name=w", "label=tier=back"), ["worker"]),
        ((f"id={DB.id}",), ["db"]),
        (("name=nobody",), []),
    ],
)
def test_values_of_a_key_are_either_and_keys_and_labels_must_all_hold(
    filters: tuple[str, ...], expected: list[str]
) -> None:
    found = filtered([WEB, WORKER, DB], filters, BY_ANNOTATIONS)
    assert expected == [one.spec.annotations.name for one in found]


@pytest.mark.parametrize("text", ["colour=red", "name", ""])
def test_an_unknown_key_is_refused_with_those_that_are_known(text: str) -> None:
    with pytest.raises(click.BadParameter, match="with KEY one of id, label or name"):
        filtered([WEB], (text,), BY_ANNOTATIONS)
