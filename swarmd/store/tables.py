"""One table a kind, held in memory: its objects, its indexes and its unique names.

What a kind is indexed by is data (`KINDS`): a name of an index, and the function that gives an
object's keys in it. An index maps a key to the ids of the objects that have it. Reads are answered
from these tables alone; they change only in `put` and `remove`, after the backend has the change.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from sortedcontainers import SortedList

from swarmd import api
from swarmd.api.protos.governor_pb2 import Breaker
from swarmd.api.protos.journal_pb2 import JournalPage
from swarmd.turns import in_turns

Key = str | int | tuple[str, int]
Keys = tuple[Key, ...]


class StoreObject(Protocol):
    """What all kinds of object have in common."""

    id: str

    @property
    def meta(self) -> api.Meta: ...
    def SerializeToString(self) -> bytes: ...  # noqa: N802  protobuf's name
    def CopyFrom(self, other: Any, /) -> None: ...  # noqa: N802  protobuf's name


M = TypeVar("M", bound=StoreObject)


@dataclass(frozen=True, slots=True)
class Kind(Generic[M]):
    """One kind of object: `name` as the Watch API calls it, `table` as a transaction does."""

    name: str
    table: str
    message: type[M]
    indexes: Mapping[str, Callable[[M], Keys]]
    unique: str | None = "name"  # the index in which two objects cannot have one key
    of_spec: AbstractSet[str] = frozenset()  # indexes that nothing but the object's spec changes


def task_name(task: api.Task) -> str:
    """Its own name, else service.slot.id; a task without a slot is named for its node."""
    own: str = task.annotations.name
    if own:
        return own
    return f"{task.service_annotations.name}.{task.slot or task.node_id}.{task.id}"


def custom_key(index: str, value: str) -> str:
    return f"{index}\0{value}"


def _name(annotations: api.Annotations) -> Keys:
    return (annotations.name.lower(),) if annotations.name else ()


def _custom(annotations: api.Annotations) -> Keys:
    indices = annotations.indices
    # Few objects have any, and all are asked at each change: here and below, that is the fast way.
    return tuple(custom_key(entry.key, entry.val) for entry in indices) if indices else ()


def _runtime(spec: api.TaskSpec) -> Keys:
    runtime = spec.WhichOneof("runtime")
    if runtime is None:
        return ()
    return (spec.generic.kind.lower() if runtime == "generic" else runtime,)


def _networks(networks: Sequence[api.NetworkAttachmentConfig]) -> Keys:
    return tuple(network.target for network in networks) if networks else ()


def _secrets(spec: api.TaskSpec) -> Keys:
    references = spec.container.secrets
    return tuple(reference.secret_id for reference in references) if references else ()


def _configs(spec: api.TaskSpec) -> Keys:
    references = spec.container.configs
    return tuple(reference.config_id for reference in references) if references else ()


def _volumes(task: api.Task) -> Keys:
    attachments = task.volumes
    return tuple(attachment.id for attachment in attachments) if attachments else ()


def _hostname(node: api.Node) -> Keys:
    return (node.description.hostname.lower(),) if node.HasField("description") else ()


def _resource_name(resource: api.Resource) -> Keys:
    name = resource.annotations.name.lower()
    return (f"{resource.kind}\0{name}",) if name else ()


def _nodes_of_page(page: JournalPage) -> Keys:
    entries = {entry.node_id for entry in page.entries}
    entries |= {task.node_id for entry in page.entries for task in entry.tasks}
    return tuple(sorted(entries - {""}))


_BY_SPEC: Final[Mapping[str, Callable[[Any], Keys]]] = {
    "name": lambda one: _name(one.spec.annotations),
    "custom": lambda one: _custom(one.spec.annotations),
}
_BY_ANNOTATIONS: Final[Mapping[str, Callable[[Any], Keys]]] = {
    "name": lambda one: _name(one.annotations),
    "custom": lambda one: _custom(one.annotations),
}
_TASK_INDEXES: Final[Mapping[str, Callable[[api.Task], Keys]]] = {
    "name": lambda task: (task_name(task).lower(),),
    "custom": lambda task: _custom(task.annotations),
    "service": lambda task: (task.service_id,),
    "node": lambda task: (task.node_id,),
    "slot": lambda task: ((task.service_id, task.slot),),
    "desired_state": lambda task: (task.desired_state,),
    "task_state": lambda task: (task.status.state,),
    "runtime": lambda task: _runtime(task.spec),
    "network": lambda task: _networks(task.spec.networks),
    "secret": lambda task: _secrets(task.spec),
    "config": lambda task: _configs(task.spec),
    "volume": _volumes,
}
_OF_TASK_SPEC: Final = frozenset({"runtime", "network", "secret", "config"})
_VOLUME_INDEXES: Final[Mapping[str, Callable[[api.Volume], Keys]]] = {
    **_BY_SPEC,
    "group": lambda volume: (volume.spec.group,),
    "driver": lambda volume: (volume.spec.driver.name,),
}
_SERVICE_INDEXES: Final[Mapping[str, Callable[[api.Service], Keys]]] = {
    **_BY_SPEC,
    "runtime": lambda service: _runtime(service.spec.task),
    "network": lambda service: _networks(service.spec.task.networks or service.spec.networks),
    "secret": lambda service: _secrets(service.spec.task),
    "config": lambda service: _configs(service.spec.task),
}
_NODE_INDEXES: Final[Mapping[str, Callable[[api.Node], Keys]]] = {
    "name": _hostname,
    "custom": lambda node: _custom(node.spec.annotations),
    "role": lambda node: (node.role,),
    "membership": lambda node: (node.spec.membership,),
}
_RESOURCE_INDEXES: Final[Mapping[str, Callable[[api.Resource], Keys]]] = {
    **_BY_ANNOTATIONS,
    "kind": lambda resource: (resource.kind,),
    "kind_and_name": _resource_name,
}
_JOURNAL_INDEXES: Final[Mapping[str, Callable[[JournalPage], Keys]]] = {
    "owner": lambda page: (page.owner_id,),
    "node": _nodes_of_page,
}

KINDS: Final[tuple[Kind[Any], ...]] = (
    Kind("cluster", "clusters", api.Cluster, _BY_SPEC),
    Kind("node", "nodes", api.Node, _NODE_INDEXES, unique=None),
    Kind("service", "services", api.Service, _SERVICE_INDEXES),
    Kind("task", "tasks", api.Task, _TASK_INDEXES, None, _OF_TASK_SPEC),
    Kind("network", "networks", api.Network, _BY_SPEC),
    Kind("secret", "secrets", api.Secret, _BY_SPEC),
    Kind("config", "configs", api.Config, _BY_SPEC),
    Kind("extension", "extensions", api.Extension, _BY_ANNOTATIONS),
    Kind("resource", "resources", api.Resource, _RESOURCE_INDEXES, unique="kind_and_name"),
    Kind("volume", "volumes", api.Volume, _VOLUME_INDEXES),
)
# Kinds of our own: SwarmKit's clients do not see them, in Watch or in a snapshot.
OWN_KINDS: Final[tuple[Kind[Any], ...]] = (
    Kind("breaker", "breakers", Breaker, {}, unique=None),
    Kind("journal", "journal", JournalPage, _JOURNAL_INDEXES, unique=None),
)
ALL_KINDS: Final = (*KINDS, *OWN_KINDS)
KIND_BY_NAME: Final[Mapping[str, Kind[Any]]] = {kind.name: kind for kind in ALL_KINDS}
_KEYS_A_TURN: Final = 5_000
_WITH_PREFIXES: Final = frozenset({"name", "custom"})  # those that are searched by prefix too


class Index:
    """Keys to ids. Ids come out in the order in which they went in, so a run can be repeated."""

    __slots__ = ("_buckets", "_sorted")

    def __init__(self, *, with_prefixes: bool) -> None:
        # Most slots and names have one object only: a dict for each would cost 200 bytes.
        self._buckets: dict[Key, str | dict[str, None]] = {}
        self._sorted = SortedList() if with_prefixes else None

    def add(self, key: Key, object_id: str) -> None:
        bucket = self._buckets.get(key)
        if bucket is None:
            self._buckets[key] = object_id
            if self._sorted is not None:
                self._sorted.add(key)
        elif isinstance(bucket, dict):
            bucket[object_id] = None
        elif bucket != object_id:
            self._buckets[key] = {bucket: None, object_id: None}

    def discard(self, key: Key, object_id: str) -> None:
        bucket = self._buckets.get(key)
        if isinstance(bucket, dict):
            bucket.pop(object_id, None)
            if bucket:
                return
        elif bucket != object_id:
            return
        del self._buckets[key]
        if self._sorted is not None:
            self._sorted.remove(key)

    def ids(self, key: Key) -> Iterable[str]:
        bucket = self._buckets.get(key, ())
        return (bucket,) if isinstance(bucket, str) else bucket

    def ids_with_prefix(self, prefix: str) -> Iterator[str]:
        assert self._sorted is not None, "this index has no prefixes"
        for key in _with_prefix(self._sorted, prefix):
            yield from self.ids(key)

    async def fill(self, pairs: Iterable[tuple[Key, str]]) -> None:
        """Add many at once to an empty index: sorting once is far cheaper."""
        ordered, self._sorted = self._sorted, None
        async for key, object_id in in_turns(pairs, _KEYS_A_TURN):
            self.add(key, object_id)
        if ordered is not None:
            self._sorted = SortedList(self._buckets)


class Table(Generic[M]):
    """The committed objects of one kind. A message in it is shared: nobody changes it."""

    __slots__ = ("_ids", "_indexes", "kind", "objects")

    def __init__(self, kind: Kind[M]) -> None:
        self.kind = kind
        self.objects: dict[str, M] = {}
        self._ids = SortedList()
        self._indexes = {name: Index(with_prefixes=name in _WITH_PREFIXES) for name in kind.indexes}

    def index(self, name: str) -> Index:
        """Raises ValueError where this kind has no such index: our own mistake."""
        if name not in self._indexes:
            message = f"{self.kind.table} cannot be found by {name}"
            raise ValueError(message)
        return self._indexes[name]

    def ids_with_prefix(self, prefix: str) -> Iterator[str]:
        return _with_prefix(self._ids, prefix)

    def put(self, new: M) -> None:
        """Insert, or replace the one of that id."""
        old = self.objects.get(new.id)
        self.objects[new.id] = new
        if old is None:
            self._ids.add(new.id)
        settled = self._settled(new, old)
        for name, keys_of in self.kind.indexes.items():
            if name in settled:
                continue
            before = () if old is None else keys_of(old)
            after = keys_of(new)
            if before != after:
                self._move(self._indexes[name], new.id, before, after)

    def _settled(self, new: Any, old: Any) -> AbstractSet[str]:
        """The indexes that cannot change now: a task changes often, and its spec never."""
        if old is not None and self.kind.of_spec and new.spec == old.spec:
            return self.kind.of_spec
        return frozenset()

    def remove(self, object_id: str) -> None:
        old = self.objects.pop(object_id)
        self._ids.remove(object_id)
        for name, keys_of in self.kind.indexes.items():
            self._move(self._indexes[name], object_id, keys_of(old), ())

    async def fill(self, objects: Iterable[M]) -> None:
        """Put many at once into an empty table, which nobody looks at meanwhile."""
        self.objects = {one.id: one for one in objects}
        self._ids = SortedList(self.objects)
        for name, keys_of in self.kind.indexes.items():
            pairs = ((key, one.id) for one in self.objects.values() for key in keys_of(one))
            await self._indexes[name].fill(pairs)

    @staticmethod
    def _move(index: Index, object_id: str, before: Keys, after: Keys) -> None:
        for key in before:
            if key not in after:
                index.discard(key, object_id)
        for key in after:
            if key not in before:
                index.add(key, object_id)


def _with_prefix(ordered: "SortedList[Any]", prefix: str) -> Iterator[str]:
    for key in ordered.irange(prefix):
        if not key.startswith(prefix):
            return
        yield key
