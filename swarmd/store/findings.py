"""What is not as it should be in a store that can be read (pure): a sentence for each.

A store that is written to can show, for a moment, a service that is gone beside tasks that were not
told to go yet; only what ought to run counts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from swarmd import api
from swarmd.api import defaults
from swarmd.security.certificates import BadCertificateError
from swarmd.security.root_ca import signer_of
from swarmd.store.backend import Loaded, Row, corrupt
from swarmd.store.rows import object_of
from swarmd.store.tables import ALL_KINDS, Kind

Objects = Mapping[str, Mapping[str, Any]]
"""By kind and id."""


def by_kind(loaded: Loaded, place: str) -> Objects:
    """Every object; raises CorruptStateError for a row that does not belong there."""
    objects: dict[str, dict[str, Any]] = {kind.name: {} for kind in ALL_KINDS}
    for row in loaded.rows:
        one = object_of(row, place)
        if row.version > loaded.version or one.id in objects[row.kind]:
            raise corrupt(place, f"{row.kind} {row.id} does not belong there")
        objects[row.kind][row.id] = one
    return objects


def findings(loaded: Loaded, place: str = "the backup") -> list[str]:
    """All there are; raises CorruptStateError as `by_kind`."""
    objects = by_kind(loaded, place)
    found = [*_versions(objects, loaded.rows), *_same_names(objects), *_cluster(objects)]
    for look in (_of_tasks, _of_services, _of_breakers):
        found += look(objects)
    return found


def _versions(objects: Objects, rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        says = objects[row.kind][row.id].meta.version.index
        if says != row.version:
            yield f"{row.kind} {row.id} is kept at version {row.version}, and says {says}"


def _same_names(objects: Objects) -> Iterator[str]:
    for kind in ALL_KINDS:
        if kind.unique is not None:
            yield from _same_names_of(kind, objects[kind.name], kind.indexes[kind.unique])


def _same_names_of(
    kind: Kind[Any], objects: Mapping[str, Any], keys_of: Callable[[Any], Iterable[Any]]
) -> Iterator[str]:
    owners: dict[Any, str] = {}
    for object_id, one in objects.items():
        for key in keys_of(one):
            other = owners.setdefault(key, object_id)
            if other != object_id:
                name = str(key).replace("\0", " ")
                yield f"{kind.name} {object_id} and {kind.name} {other} both have the name {name}"


def _cluster(objects: Objects) -> Iterator[str]:
    clusters = [
        one
        for one in objects["cluster"].values()
        if one.spec.annotations.name == defaults.CLUSTER_NAME
    ]
    if not clusters:
        yield "there is no cluster object"
        return
    if not any(one.role == api.NodeRole.MANAGER for one in objects["node"].values()):
        yield "no node is a manager"
    try:
        signer_of(clusters[0].root_ca)
    except BadCertificateError as error:
        if not clusters[0].spec.ca_config.external_cas:
            yield f"the root CA cannot sign: {error}"


def _of_tasks(objects: Objects) -> Iterator[str]:
    for task in objects["task"].values():
        if max(task.status.state, task.desired_state) > api.TaskState.RUNNING:
            continue
        if task.service_id and task.service_id not in objects["service"]:
            yield f"task {task.id} is of service {task.service_id}, which is not there"
        if task.node_id and task.node_id not in objects["node"]:
            yield f"task {task.id} is on node {task.node_id}, which is not there"
        used = [("volume", attachment.id) for attachment in task.volumes]
        yield from _missing(f"task {task.id}", used, objects)


def _of_services(objects: Objects) -> Iterator[str]:
    for service in objects["service"].values():
        container = service.spec.task.container
        needs = [
            *(("secret", one.secret_id) for one in container.secrets),
            *(("config", one.config_id) for one in container.configs),
        ]
        yield from _missing(f"service {service.id}", needs, objects)


def _of_breakers(objects: Objects) -> Iterator[str]:
    for breaker in objects["breaker"].values():
        if breaker.id not in objects["service"]:
            yield f"breaker {breaker.id} is of a service that is not there"


def _missing(owner: str, needs: Iterable[tuple[str, str]], objects: Objects) -> Iterator[str]:
    for kind, object_id in needs:
        if object_id not in objects[kind]:
            yield f"{owner} needs {kind} {object_id}, which is not there"
