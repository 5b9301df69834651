"""Change feed service: clients see what happens in the store, transaction by transaction.

A request has entries, each for one kind of object, some actions, and filters that must all hold.
The stream opens with an empty message: from then on nothing is missed. Each message after it is
one transaction, under the version to resume from. What nobody may read with Get, a secret's data
and the keys of a cluster, is not shown here either.

The filters are SwarmKit's, to the letter: those that a kind does not know are passed over, names
count case, and `slot` finds tasks that no node has yet, whatever their service.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from swarmd import api
from swarmd.api.protos import watch_pb2_grpc
from swarmd.errors import InvalidArgumentError
from swarmd.store import Committed, Created, Deleted, Event, Select, Store, Updated
from swarmd.store.events import AnyChange

Test = Callable[[Any], bool]
_CREATE: Final = api.WatchActionKind.WATCH_ACTION_CREATE
_UPDATE: Final = api.WatchActionKind.WATCH_ACTION_UPDATE
_REMOVE: Final = api.WatchActionKind.WATCH_ACTION_REMOVE
_ACTIONS: Final[Mapping[type, api.WatchActionKind.ValueType]] = {
    Created: _CREATE,
    Updated: _UPDATE,
    Deleted: _REMOVE,
}
_KINDS: Final[Mapping[str, type]] = {
    "node": api.Node,
    "service": api.Service,
    "task": api.Task,
    "network": api.Network,
    "cluster": api.Cluster,
    "secret": api.Secret,
    "config": api.Config,
    "extension": api.Extension,
    "volume": api.Volume,
}
_FIELDS: Final[Mapping[type, str]] = {
    **{message: name for name, message in _KINDS.items()},
    api.Resource: "resource",
}
_ALWAYS_TAKEN: Final = frozenset({"desired_state", "role", "membership", "hostname", "index"})


class WatchServicer(watch_pb2_grpc.WatchServicer):
    def __init__(self, store: Store) -> None:
        self._store = store

    async def Watch(
        self, request: api.WatchRequest, context: Any
    ) -> AsyncIterator[api.WatchMessage]:
        selects = [_select(entry) for entry in request.entries]
        resume_from = request.resume_from.index if request.HasField("resume_from") else None
        async with self._store.watch(*selects, resume_from=resume_from) as watcher:
            yield api.WatchMessage()
            message = api.WatchMessage()
            async for events in watcher:
                for event in events:
                    if isinstance(event, Committed):
                        message.version.index = event.version
                        yield message
                        message = api.WatchMessage()
                    else:
                        message.events.append(_told(event, with_old=request.include_old_object))


def _select(entry: api.WatchRequest.WatchEntry) -> Select[Any]:
    if not entry.kind:
        raise InvalidArgumentError("no kind of object specified")
    tests = _tests(entry)
    actions = {event for event, action in _ACTIONS.items() if entry.action & action}
    if not actions:
        raise InvalidArgumentError("unrecognized action")

    def where(event: AnyChange) -> bool:
        return all(test(event.object) for test in tests)

    return Select(_KINDS.get(entry.kind, api.Resource), actions, where)


def _tests(entry: api.WatchRequest.WatchEntry) -> list[Test]:
    """What an object must be like; two filters that look at the same field contradict."""
    kind, tests, taken = entry.kind, list[Test](), set[str]()
    if kind not in _KINDS:  # a kind that an extension made
        tests.append(lambda resource: resource.kind == kind)
    for selector in entry.filters:
        by = selector.WhichOneof("By")
        field, make = _FILTERS.get(kind, {}).get(by or "") or _COMMON.get(by or "") or ("", None)
        if make is None:
            continue
        value = getattr(selector, by or "")
        if taken & ({"slot", "service_id"} if field == "slot" else {field}):
            raise InvalidArgumentError("conflicting filters specified")
        taken |= _taken(field, value)
        tests.append(make(value))
    return tests


def _taken(field: str, value: Any) -> set[str]:
    """SwarmKit tells most fields in use by their values: an empty one can be given twice."""
    if field == "slot":
        return {name for name in ("slot", "service_id") if getattr(value, name)}
    return {field} if value or field in _ALWAYS_TAKEN else set()


def _name_of(one: Any) -> str:
    """A task's is the one it was given, if any, not the one made of its service's and its slot."""
    return str(_annotations(one).name)


def _annotations(one: Any) -> api.Annotations:
    annotations: api.Annotations = one.spec.annotations if _has_spec(one) else one.annotations
    return annotations


def _has_spec(one: Any) -> bool:
    return not isinstance(one, api.Task | api.Resource | api.Extension)


def _custom(wanted: api.SelectByCustom) -> Test:
    return lambda one: any(
        entry.key == wanted.index and entry.val == wanted.value
        for entry in _annotations(one).indices
    )


def _custom_prefix(wanted: api.SelectByCustom) -> Test:
    return lambda one: any(
        entry.key == wanted.index and entry.val.startswith(wanted.value)
        for entry in _annotations(one).indices
    )


def _slot(wanted: api.SelectBySlot) -> Test:
    return lambda task: not task.node_id and task.slot == wanted.slot


def _hostname(node: api.Node, matches: Callable[[str], bool]) -> bool:
    return node.HasField("description") and matches(node.description.hostname)


# What a selector looks at, and the test it makes of its value.
_Filters = Mapping[str, tuple[str, Callable[[Any], Test]]]
_COMMON: Final[_Filters] = {
    "id": ("id", lambda value: lambda one: one.id == value),
    "id_prefix": ("id", lambda value: lambda one: one.id.startswith(value)),
    "name": ("name", lambda value: lambda one: _name_of(one) == value),
    "name_prefix": ("name", lambda value: lambda one: _name_of(one).startswith(value)),
    "custom": ("index", _custom),
    "custom_prefix": ("index", _custom_prefix),
}
_FILTERS: Final[Mapping[str, _Filters]] = {
    "node": {
        "name": ("hostname", lambda value: lambda one: _hostname(one, value.__eq__)),
        "name_prefix": (
            "hostname",
            lambda value: lambda one: _hostname(one, lambda name: name.startswith(value)),
        ),
        "role": ("role", lambda value: lambda one: one.role == value),
        "membership": ("membership", lambda value: lambda one: one.spec.membership == value),
    },
    "task": {
        "service_id": ("service_id", lambda value: lambda one: one.service_id == value),
        "node_id": ("node_id", lambda value: lambda one: one.node_id == value),
        "slot": ("slot", _slot),
        "desired_state": ("desired_state", lambda value: lambda one: one.desired_state == value),
    },
}


def _told(event: Event, *, with_old: bool) -> api.WatchMessage.Event:
    assert not isinstance(event, Committed)
    told = api.WatchMessage.Event(action=_ACTIONS[type(event)], object=_shown(event.object))
    if with_old and isinstance(event, Updated):
        told.old_object.CopyFrom(_shown(event.old))
    return told


def _shown(one: Any) -> api.Object:
    """A copy, without what Get keeps back too."""
    shown = api.Object(**{_FIELDS[type(one)]: one})
    if shown.WhichOneof("Object") == "secret":
        shown.secret.spec.ClearField("data")
    if shown.WhichOneof("Object") == "cluster":
        _keep_keys_back(shown.cluster)
    return shown


def _keep_keys_back(cluster: api.Cluster) -> None:
    """The key of the CA signs any node into the cluster, the others open what managers wrote."""
    cluster.ClearField("network_bootstrap_keys")
    cluster.ClearField("unlock_keys")
    cluster.root_ca.ClearField("ca_key")
    if cluster.root_ca.HasField("root_rotation"):
        cluster.root_ca.root_rotation.ClearField("ca_key")
    cluster.spec.ca_config.ClearField("signing_ca_key")
