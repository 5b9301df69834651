"""What `find` can be asked, imported as `by`: tx.tasks.find(by.service(service_id)).

    by.all_of(by.service(service_id), by.desired_state(api.TaskState.RUNNING))
    by.any_of(by.name_prefix("web"), by.id_prefix("4k"))

A query is data; `Finder` answers it from a table, `matches` for one object that is in no table yet.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from swarmd.store.tables import Key, Kind, M, StoreObject, Table, custom_key


@dataclass(frozen=True, slots=True)
class Exactly:
    """Has this key in that index."""

    index: str
    key: Key


@dataclass(frozen=True, slots=True)
class Prefixed:
    """Has a key that begins so in that index; the index `id` is the ids themselves."""

    index: str
    prefix: str


@dataclass(frozen=True, slots=True)
class AnyOf:
    queries: "tuple[Query, ...]"


@dataclass(frozen=True, slots=True)
class AllOf:
    queries: "tuple[Query, ...]"


Query = Exactly | Prefixed | AnyOf | AllOf


def name(value: str) -> Query:
    """Compared without case; a node's name is its hostname."""
    return Exactly("name", value.lower())


def name_prefix(value: str) -> Query:
    """Compared without case."""
    return Prefixed("name", value.lower())


def id_prefix(value: str) -> Query:
    return Prefixed("id", value)


def service(service_id: str) -> Query:
    return Exactly("service", service_id)


def node(node_id: str) -> Query:
    return Exactly("node", node_id)


def slot(service_id: str, number: int) -> Query:
    return Exactly("slot", (service_id, number))


def desired_state(state: int) -> Query:
    return Exactly("desired_state", state)


def task_state(state: int) -> Query:
    return Exactly("task_state", state)


def role(value: int) -> Query:
    return Exactly("role", value)


def membership(value: int) -> Query:
    return Exactly("membership", value)


def runtime(value: str) -> Query:
    """container, attachment, or the kind of a generic one in lower case."""
    return Exactly("runtime", value)


def kind(value: str) -> Query:
    """Resources of that extension."""
    return Exactly("kind", value)


def referenced_secret(secret_id: str) -> Query:
    return Exactly("secret", secret_id)


def referenced_config(config_id: str) -> Query:
    return Exactly("config", config_id)


def referenced_network(network_id: str) -> Query:
    return Exactly("network", network_id)


def owner(object_id: str) -> Query:
    """Pages of the journal that this service, or node, owns."""
    return Exactly("owner", object_id)


def attached_volume(volume_id: str) -> Query:
    """Tasks that were given the volume."""
    return Exactly("volume", volume_id)


def group(value: str) -> Query:
    """Volumes of that group."""
    return Exactly("group", value)


def driver(value: str) -> Query:
    """Volumes of that driver."""
    return Exactly("driver", value)


def custom(index: str, value: str) -> Query:
    """Has this entry among its annotations' indices."""
    return Exactly("custom", custom_key(index, value))


def custom_prefix(index: str, value: str) -> Query:
    return Prefixed("custom", custom_key(index, value))


def any_of(*queries: Query) -> Query:
    """Matches one of them at least; of none, nothing."""
    return AnyOf(queries)


def all_of(*queries: Query) -> Query:
    """Matches every one of them; of none, everything."""
    return AllOf(queries)


def find_ids(table: Table[M], query: Query) -> Iterable[str]:
    """The ids that match, each once."""
    match query:
        case Exactly(index, key):
            return table.index(index).ids(key)
        case Prefixed("id", prefix):
            return table.ids_with_prefix(prefix)
        case Prefixed(index, prefix):
            return table.index(index).ids_with_prefix(prefix)
        case AnyOf(queries):
            return dict.fromkeys(one for part in queries for one in find_ids(table, part))
        case AllOf(queries):
            return _intersection(table, queries)


def _intersection(table: Table[M], queries: tuple[Query, ...]) -> Iterable[str]:
    if not queries:
        return table.objects
    # Prefixes last: their ids are many, and asking an object is cheap.
    first, *rest = sorted(queries, key=lambda query: not isinstance(query, Exactly))
    objects, kind_of = table.objects, table.kind
    return [
        object_id
        for object_id in find_ids(table, first)
        if all(matches(kind_of, query, objects[object_id]) for query in rest)
    ]


def matches(kind_of: Kind[M], query: Query, one: M) -> bool:
    """Whether `find` would give this object."""
    match query:
        case Exactly(index, key):
            return key in _keys(kind_of, index, one)
        case Prefixed(index, prefix):
            return any(str(key).startswith(prefix) for key in _keys(kind_of, index, one))
        case AnyOf(queries):
            return any(matches(kind_of, part, one) for part in queries)
        case AllOf(queries):
            return all(matches(kind_of, part, one) for part in queries)


def _keys(kind_of: Kind[M], index: str, one: StoreObject) -> tuple[Key, ...]:
    return (one.id,) if index == "id" else kind_of.indexes[index](one)  # type: ignore[arg-type]
