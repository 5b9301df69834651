"""Allocator.run: from events to one store change."""

import contextlib
from collections.abc import Callable, Sequence

from swarmd import api
from swarmd.api.times import timestamp
from swarmd.clock import Clock
from swarmd.errors import SwarmError
from swarmd.logs import fields, get_logger
from swarmd.store import (
    Committed,
    Created,
    Deleted,
    Event,
    ReadTx,
    Select,
    Store,
    WatchOverflowError,
    WriteTx,
    by,
)
from workers.manager.allocator.ports import (
    INGRESS,
    PortBook,
    PortUnavailableError,
    allocate,
    is_allocated,
)

log = get_logger(__name__)

_MESSAGE = "pending task scheduling"
_NO_NETWORKS = "network support is unavailable: this version has no network driver"
_NO_INGRESS = "the ingress network is missing"
Change = Callable[[WriteTx], None]


class Allocator:
    """Gives services their endpoints, and tasks their vote from NEW to PENDING."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._book: PortBook = PortBook()
        self._waiting: dict[str, str] = {}
        """Why a service's tasks wait, by service id."""

    async def run(self) -> None:
        """Allocate what is there, then whatever comes; until cancelled."""
        while True:
            with contextlib.suppress(WatchOverflowError):
                await self._follow()
            log.warning("allocator fell behind, reads the store anew")

    async def _follow(self) -> None:
        self._book, self._waiting = PortBook(), {}
        async with self._store.watch(
            Select(api.Service),
            Select(api.Task, actions={Created}),
            Select(api.Network),
        ) as watcher:
            services = self._store.view().services.find()
            for service in services:
                self._book.hold(service)
            await self._allocate({service.id for service in services})
            async for events in watcher:
                await self._allocate(self._touched(events))

    def _touched(self, events: Sequence[Event]) -> set[str]:
        """The services to look at: the changed and, where something was freed, the waiting."""
        found = [event for event in events if not isinstance(event, Committed)]
        changed = {e.object.id for e in found if isinstance(e.object, api.Service)}
        gone = [e.object for e in found if isinstance(e, Deleted)]
        for one in gone:
            self._book.release(one.id)
            self._waiting.pop(one.id, None)
        freed = gone or any(isinstance(e.object, api.Network) for e in found)
        return changed | set(self._waiting) if freed else changed

    async def _allocate(self, service_ids: set[str]) -> None:
        tx = self._store.view()
        found = (tx.services.get(service_id) for service_id in service_ids)
        services = [service for service in found if service and not is_allocated(service)]
        await self._commit([change for s in services if (change := self._endpoint(tx, s))])
        tx = self._store.view()
        waiting = tx.tasks.find(by.task_state(api.TaskState.NEW))
        await self._commit([change for task in waiting if (change := self._vote(tx, task))])

    async def _commit(self, changes: list[Change]) -> None:
        for result in await self._store.batch(changes):
            if isinstance(result, SwarmError):
                # Changed or removed meanwhile: its event is already in our queue.
                log.debug("an allocation was overtaken", extra=fields(reason=result))

    def _endpoint(self, tx: ReadTx, service: api.Service) -> Change | None:
        """The change that gives this service its endpoint; none while it must wait."""
        self._waiting.pop(service.id, None)
        try:
            ingress = _ingress_network(tx) if _needs_ingress(service) else None
            ports = allocate(service, self._book)
        except PortUnavailableError as error:
            log.warning(
                "a service waits for a port", extra=fields(service=service.id, reason=error)
            )
            self._waiting[service.id] = str(error)
            return None

        def change(tx: WriteTx) -> None:
            now = tx.services.copy(service.id)
            now.ClearField("endpoint")
            if service.spec.HasField("endpoint"):
                now.endpoint.spec.CopyFrom(service.spec.endpoint)
                now.endpoint.ports.extend(ports)
                if ingress is not None:
                    now.endpoint.virtual_ips.add(network_id=ingress.id)
            tx.services.update(now)

        return change

    def _vote(self, tx: ReadTx, task: api.Task) -> Change | None:
        """The change that moves a NEW task on, or says why it stays."""
        service = tx.services.get(task.service_id) if task.service_id else None
        if task.service_id and service is None:
            return None
        reason = self._reason_to_wait(task, service)
        if reason:
            return None if task.status.err == reason else _explain(task.id, reason)
        addresses = service.endpoint.virtual_ips if service is not None else ()
        networks = [n for vip in addresses if (n := tx.networks.get(vip.network_id))]
        now = timestamp(self._clock.now())

        def change(tx: WriteTx) -> None:
            new = tx.tasks.copy(task.id)
            if new.status.state != api.TaskState.NEW:
                return
            if service is not None and service.HasField("endpoint"):
                new.endpoint.CopyFrom(service.endpoint)
            new.networks.extend(api.NetworkAttachment(network=network) for network in networks)
            new.status.state = api.TaskState.PENDING
            new.status.message = _MESSAGE
            new.status.err = ""
            new.status.timestamp.CopyFrom(now)
            tx.tasks.update(new)

        return change

    def _reason_to_wait(self, task: api.Task, service: api.Service | None) -> str:
        if task.spec.networks or (service is not None and service.spec.networks):
            return _NO_NETWORKS
        if service is None or is_allocated(service):
            return ""
        return self._waiting.get(service.id, "its service has no endpoint yet")


def _explain(task_id: str, reason: str) -> Change:
    def change(tx: WriteTx) -> None:
        task = tx.tasks.copy(task_id)
        task.status.err = reason
        tx.tasks.update(task)

    return change


def _needs_ingress(service: api.Service) -> bool:
    """SwarmKit's rule: a port published by the routing mesh, in VIP mode."""
    endpoint = service.spec.endpoint
    vip = endpoint.mode == api.EndpointSpec.ResolutionMode.VIP
    return vip and any(port.publish_mode == INGRESS for port in endpoint.ports)


def _ingress_network(tx: ReadTx) -> api.Network:
    for network in tx.networks.find():
        if network.spec.ingress:
            return network
    raise PortUnavailableError(_NO_INGRESS)
