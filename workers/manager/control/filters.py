"""List filters to store queries.

A request gives several filters of several kinds. An object is listed if it has one of the values of
every kind given. The store is asked by one kind, the first given; the others are then looked at
object by object. The store compares names without case, these filters with it: SwarmKit's lists
of services, tasks, nodes, networks and clusters do both, those of secrets, configs and resources
only ask the store, and take the union of all kinds.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from swarmd import api
from swarmd.store import by
from swarmd.store.queries import Query

Choice = tuple[Callable[[Any], Query], Collection[Any]]


def first_given(*choices: Choice) -> Query | None:
    """The query for the first kind that has values; None, for everything, if none has."""
    for make, values in choices:
        if values:
            return by.any_of(*(make(value) for value in values))
    return None


def any_given(*choices: Choice) -> Query | None:
    """The query for one value of any kind; None, for everything, if there is none."""
    queries = [make(value) for make, values in choices for value in values]
    return by.any_of(*queries) if queries else None


def is_one_of(value: object, wanted: Collection[Any]) -> bool:
    """Not asking for any is asking for all."""
    return not wanted or value in wanted


def has_prefix(value: str, wanted: Collection[str]) -> bool:
    return not wanted or any(value.startswith(prefix) for prefix in wanted)


def has_labels(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """All of them; one wanted with an empty value may have any."""
    return all(key in labels and value in ("", labels[key]) for key, value in wanted.items())


def runtime(spec: api.TaskSpec) -> str | None:
    """container, attachment, or the kind of a generic one in lower case."""
    kind = spec.WhichOneof("runtime")
    return spec.generic.kind.lower() if kind == "generic" else kind
