"""Generic resources: what a node offers beside CPU and memory, and who has which of it.

A kind is discrete (`fpga=2`: any two will do) or named (`gpu=UUID1,gpu=UUID2`: each is one
thing). Tasks only ever ask for a number of a kind; of a named kind they are given that many names.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from swarmd import api
from swarmd.errors import InvalidArgumentError

_INT64: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_INT64_MAX: Final = 2**63 - 1


class GenericResourceError(InvalidArgumentError):
    """The text names no generic resources."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"could not parse GenericResource: {reason}")


def parse(text: str) -> list[api.GenericResource]:
    """What "fpga=2,gpu=UUID1,gpu=UUID2" names; raises GenericResourceError."""
    if "\n" in text:
        reason = "unexpected '\\n' character"
        raise GenericResourceError(reason)
    return parse_terms(next(csv.reader([text]), []))


def parse_terms(terms: Iterable[str]) -> list[api.GenericResource]:
    """What ["fpga=2", "gpu=UUID1"] names; raises GenericResourceError."""
    values: dict[str, list[str]] = defaultdict(list)
    for term in terms:
        key, found, value = term.partition("=")
        if not found or "=" in value or not key.strip() or not value.strip():
            reason = f"incorrect term {term}, missing '=' or malformed expression"
            raise GenericResourceError(reason)
        values[key.strip()].append(value.strip())
    return [resource for kind, texts in values.items() for resource in _of_kind(kind, texts)]


def discrete(kind: str, value: int) -> api.GenericResource:
    """That many of a kind, one as good as another."""
    spec = api.DiscreteGenericResource(kind=kind, value=value)
    return api.GenericResource(discrete_resource_spec=spec)


def named(kind: str, value: str) -> api.GenericResource:
    """One thing of a kind, known by its name."""
    return api.GenericResource(named_resource_spec=api.NamedGenericResource(kind=kind, value=value))


def wanted(reservations: Iterable[api.GenericResource]) -> dict[str, int]:
    """How many of each kind a task reserves; entries with a name are none it may ask for."""
    counts: dict[str, int] = defaultdict(int)
    for resource in reservations:
        if resource.WhichOneof("resource") == "discrete_resource_spec":
            counts[resource.discrete_resource_spec.kind] += resource.discrete_resource_spec.value
    return dict(counts)


def environment(assigned: Iterable[api.GenericResource], prefix: str) -> dict[str, str]:
    """How a task is told what it was given: PREFIX_KIND to its number, or its names."""
    texts: dict[str, list[str]] = defaultdict(list)
    for resource in assigned:
        field = resource.WhichOneof("resource")
        if field is not None:
            spec = getattr(resource, field)
            texts[f"{prefix}_{spec.kind}".upper()].append(str(spec.value))
    return {name: ",".join(values) for name, values in texts.items()}


class GenericPool:
    """A node's generic resources, and how many of them are claimed.

    What is free is what is offered less what is claimed, never more than the first; a node that
    comes to offer less than is claimed has nothing free until enough is released.
    """

    __slots__ = ("_claimed", "_claimed_names", "_counts", "_names")

    def __init__(self, offered: Iterable[api.GenericResource] = ()) -> None:
        self._counts: dict[str, int] = defaultdict(int)
        self._names: dict[str, list[str]] = defaultdict(list)
        self._claimed: dict[str, int] = defaultdict(int)
        self._claimed_names: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for resource in offered:
            if resource.WhichOneof("resource") == "discrete_resource_spec":
                spec = resource.discrete_resource_spec
                self._counts[spec.kind] += spec.value
            else:
                name = resource.named_resource_spec
                if name.value not in self._names[name.kind]:
                    self._names[name.kind].append(name.value)

    def free(self, kind: str) -> int:
        """How many of the kind nobody has claimed."""
        if kind in self._names:
            return len(self._free_names(kind))
        return max(0, self._counts.get(kind, 0) - self._claimed.get(kind, 0))

    def offers(self, kind: str) -> bool:
        """Whether the node has this kind at all, free or not."""
        return kind in self._names or kind in self._counts

    def fits(self, counts: Mapping[str, int]) -> bool:
        """Whether one task that wants these could claim them now."""
        return all(self.offers(kind) and self.free(kind) >= n for kind, n in counts.items())

    def capacity(self, counts: Mapping[str, int], most: int) -> int:
        """How many tasks that each want these could claim them now, up to `most`."""
        if not self.fits(counts):
            return 0
        return min((self.free(kind) // n for kind, n in counts.items() if n > 0), default=most)

    def claim(self, counts: Mapping[str, int]) -> list[api.GenericResource]:
        """Take these for a task, and say which they are; they must fit."""
        chosen = self.choose(counts)
        self.take(chosen)
        return chosen

    def choose(self, counts: Mapping[str, int]) -> list[api.GenericResource]:
        """Which ones a claim of these would take; they must fit."""
        assert self.fits(counts), "chose more than is free"
        return [resource for kind, n in counts.items() for resource in self._choose(kind, n)]

    def take(self, assigned: Sequence[api.GenericResource]) -> None:
        """Count these, which a task was given earlier, as claimed."""
        self._count(assigned, 1)

    def release(self, assigned: Sequence[api.GenericResource]) -> None:
        """Count these, which were claimed or taken, as free again."""
        self._count(assigned, -1)

    def _choose(self, kind: str, count: int) -> list[api.GenericResource]:
        if count <= 0:
            return []
        if kind in self._names:
            return [named(kind, name) for name in self._free_names(kind)[:count]]
        return [discrete(kind, count)]

    def _free_names(self, kind: str) -> list[str]:
        claimed = self._claimed_names.get(kind, {})
        return [name for name in self._names[kind] if not claimed.get(name)]

    def _count(self, assigned: Sequence[api.GenericResource], sign: int) -> None:
        for resource in assigned:
            if resource.WhichOneof("resource") == "discrete_resource_spec":
                spec = resource.discrete_resource_spec
                self._claimed[spec.kind] = max(0, self._claimed[spec.kind] + sign * spec.value)
            else:
                name, claims = resource.named_resource_spec, self._claimed_names
                claims[name.kind][name.value] = max(0, claims[name.kind][name.value] + sign)


def _of_kind(kind: str, values: list[str]) -> list[api.GenericResource]:
    numbers = [int(value) for value in values if _INT64.fullmatch(value)]
    if not numbers:
        return [named(kind, value) for value in values]
    if len(values) > 1:
        reason = f"mixed discrete and named resources in expression '{kind}={values}'"
        raise GenericResourceError(reason)
    if not 0 <= numbers[0] <= _INT64_MAX:
        reason = f"cannot ask for negative resource {kind}"
        raise GenericResourceError(reason)
    return [discrete(kind, numbers[0])]
