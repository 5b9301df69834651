"""Random transactions as data, and a store in a plain dict that says what each must lead to."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from swarmd import api
from swarmd.errors import SwarmError
from swarmd.store import WriteTx

IDS = [f"{letter}{number}" for letter in "ab" for number in range(4)]
NAMES = ["Web", "wEB", "db", "cache"]


@dataclass(frozen=True)
class Step:
    """One call of a transaction: verb is create, update or delete, kind services or tasks."""

    verb: str
    kind: str
    object_id: str
    name: str
    number: int


@dataclass(frozen=True)
class Plan:
    """One transaction; `fails` makes it raise at its end."""

    steps: tuple[Step, ...]
    fails: bool = False


steps = st.builds(
    Step,
    verb=st.sampled_from(["create", "update", "update", "delete"]),
    kind=st.sampled_from(["services", "tasks"]),
    object_id=st.sampled_from(IDS),
    name=st.sampled_from(NAMES),
    number=st.integers(0, 3),
)
plans = st.builds(
    Plan, st.lists(steps, min_size=1, max_size=4).map(tuple), st.sampled_from([False] * 4 + [True])
)


class RefusedError(SwarmError):
    """By the model or by the plan itself."""


@dataclass
class Model:
    """The state after some transactions: (kind, id) to what the step gave it."""

    objects: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)

    def apply(self, plan: Plan) -> "Model":
        """The state after it; raises RefusedError where the store must refuse it."""
        objects = dict(self.objects)
        for step in plan.steps:
            key = (step.kind, step.object_id)
            if (key in objects) == (step.verb == "create"):
                raise RefusedError
            if step.verb == "delete":
                del objects[key]
                continue
            if step.kind == "services" and self._taken(objects, step):
                raise RefusedError
            objects[key] = (step.name, step.number)
        if plan.fails:
            raise RefusedError
        return Model(objects)

    @staticmethod
    def _taken(objects: dict[tuple[str, str], tuple[str, int]], step: Step) -> bool:
        return any(
            kind == "services" and object_id != step.object_id and name.lower() == step.name.lower()
            for (kind, object_id), (name, _) in objects.items()
        )


def change(plan: Plan, tx: WriteTx) -> int:
    """The same on a store; returns the version of its transaction."""
    for step in plan.steps:
        table: Any = getattr(tx, step.kind)
        if step.verb == "delete":
            table.delete(step.object_id)
            continue
        new = build(step) if step.verb == "create" else table.copy(step.object_id)
        write(new, step)
        getattr(table, step.verb)(new)
    if plan.fails:
        raise RefusedError
    return tx.version


def build(step: Step) -> Any:
    kind = api.Service if step.kind == "services" else api.Task
    return kind(id=step.object_id)


def write(one: Any, step: Step) -> None:
    if step.kind == "services":
        one.spec.annotations.name = step.name
        one.spec.replicated.replicas = step.number
    else:
        one.service_id = step.name
        one.slot = step.number
        one.node_id = f"n{step.number % 2}"


def seen(tx: Any) -> Model:
    """What a view shows, in the model's terms."""
    objects = {
        ("services", one.id): (one.spec.annotations.name, one.spec.replicated.replicas)
        for one in tx.services.find()
    }
    objects |= {("tasks", one.id): (one.service_id, one.slot) for one in tx.tasks.find()}
    return Model(objects)
