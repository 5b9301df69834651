"""No template makes more work than it may, and each is told so in time."""

import pytest

from swarmd import api
from swarmd.api.templates import Budget, Struct, TemplateError, expand, expand_container

LABELS = {f"label-{number:03}": "x" * 100 for number in range(100)}
VALUES = Struct("values", {"Labels": LABELS, "Long": "x" * 100_000})


def loops(depth: int) -> str:
    return "{{range $.Labels}}" * depth + "x" + "{{end}}" * depth


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (loops(1), None),
        (loops(2), None),
        (loops(40), "takes more than 50000 steps"),
        ("{{range $.Labels}}{{$.Long}}{{end}}", "handles more than"),
        ("{{$x := .Long}}" + "{{$x = print $x $x}}" * 60, "handles more than"),
        ("{{$x := print" + " $.Long" * 10_000 + "}}", "handles more than"),
        ("{{$x := print" + " $.Labels" * 10_000 + "}}", "handles more than"),
        ("{{join .Long" + " ``" * 1000 + "}}", "the text gets too long"),
        ('{{printf "' + "%999d" * 2000 + '"' + " 1" * 2000 + "}}", "its fields are too wide"),
        ("{{1}}" * 60_000, "takes more than 50000 steps"),
        ("".join(f"{{{{$x{number} := 1}}}}" for number in range(4_000)), None),
    ],
    ids=range(11),
)
def test_a_template_may_not_make_work_without_end(text, limit):
    if limit is None:
        expand(text, VALUES)
        return
    with pytest.raises(TemplateError) as refused:
        expand(text, VALUES)
    assert limit in str(refused.value)


def test_a_wide_look_at_the_labels_costs_little():
    assert "x" * 100 in expand("{{index .Labels `label-000`}}" * 3000, VALUES)


def test_texts_that_share_a_budget_stay_within_it_together():
    budget = Budget(steps=100, characters=25)
    assert "0123456789" == expand("{{``}}0123456789", VALUES, budget=budget)
    assert "0123456789" == expand("{{``}}0123456789", VALUES, budget=budget)
    with pytest.raises(TemplateError, match="handles more than 25 characters"):
        expand("{{``}}0123456789", VALUES, budget=budget)


def test_all_of_a_container_stays_within_one_budget():
    spec = api.ContainerSpec(env=["A={{.Long}}{{.Long}}"] * 50)
    with pytest.raises(TemplateError, match="handles more than 8000000 characters"):
        expand_container(spec, VALUES)
