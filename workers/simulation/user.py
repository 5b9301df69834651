"""A user who changes their mind: creates, updates, scales, rolls back and removes services.

They speak to the control API's own handlers, under the version that they last read. What they were
told is remembered: it must be there after a crash.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final

from swarmd import api
from swarmd.errors import SwarmError
from workers.manager.control.server import ControlServicer
from workers.simulation import specs
from workers.simulation.disk import Disk

_Availability = api.NodeSpec.Availability
_PREVIOUS = api.UpdateServiceRequest.Rollback.PREVIOUS
_NEW_PAYLOAD: Final = 0.3  # so often there is a secret or a config more


class User:
    """Does one thing at a time; what fails is told in the trace, and left."""

    def __init__(
        self,
        control: Callable[[], ControlServicer | None],
        disk: Disk,
        random: Random,
        trace: Callable[[str], None],
        wrong: Callable[[str, str], None],
    ) -> None:
        self._control = control
        self._disk = disk
        self._random = random
        self._trace = trace
        self._wrong = wrong
        self._made = 0
        self._payloads = specs.Payloads()

    async def act(self, most_services: int) -> None:
        """Some change of the services."""
        control = self._control()
        if control is None:
            return
        found = (await control.ListServices(api.ListServicesRequest(), None)).services
        acts: list[Any] = [self._update, self._update, self._scale, self._roll_back, self._remove]
        if len(found) < most_services:
            acts += [self._create] * 6
        if self._random.random() < _NEW_PAYLOAD:
            await self._try(self._create_payload, control, None)
        act = self._random.choice(acts) if found else self._create
        await self._try(act, control, self._random.choice(found) if found else None)

    async def some_service(self) -> api.Service | None:
        control = self._control()
        if control is None:
            return None
        found = (await control.ListServices(api.ListServicesRequest(), None)).services
        return self._random.choice(found) if found else None

    async def set_availability(self, node_id: str, availability: int) -> None:
        def change(spec: api.NodeSpec) -> None:
            spec.availability = _Availability.ValueType(availability)

        await self._update_node(node_id, change)

    async def relabel(self, node_id: str) -> None:
        def change(spec: api.NodeSpec) -> None:
            spec.annotations.labels.clear()
            spec.annotations.labels.update(specs.labels(self._random))

        await self._update_node(node_id, change)

    async def remove_node(self, node_id: str) -> bool:
        """Whether it is gone."""
        control = self._control()
        if control is None:
            return False
        request = api.RemoveNodeRequest(node_id=node_id, force=True)

        async def remove(control: ControlServicer, _: object) -> None:
            await control.RemoveNode(request, None)

        return await self._try(remove, control, None)

    async def _update_node(self, node_id: str, change: Callable[[api.NodeSpec], None]) -> None:
        control = self._control()
        if control is None:
            return

        async def update(control: ControlServicer, _: object) -> None:
            node = (await control.GetNode(api.GetNodeRequest(node_id=node_id), None)).node
            change(node.spec)
            request = api.UpdateNodeRequest(
                node_id=node_id, node_version=node.meta.version, spec=node.spec
            )
            answer = await control.UpdateNode(request, None)
            self._must_be_durable("node", answer.node)

        await self._try(update, control, None)

    async def _try(self, act: Any, control: ControlServicer, service: api.Service | None) -> bool:
        try:
            await act(control, service)
        except SwarmError as error:
            self._trace(f"user: refused: {error}")
            return False
        return True

    async def _create(self, control: ControlServicer, _: api.Service | None) -> None:
        self._made += 1
        spec = specs.service(self._random, f"service{self._made}", self._payloads)
        answer = await control.CreateService(api.CreateServiceRequest(spec=spec), None)
        self._must_be_durable("service", answer.service)
        self._trace(f"user: creates {_told(spec)}")

    async def _create_payload(self, control: ControlServicer, _: object) -> None:
        """None is ever removed: what a task lacks is never the user's doing."""
        known, random = self._payloads, self._random
        name = f"payload{len(known.secrets) + len(known.configs)}-{random.randrange(1 << 20)}"
        called, data = api.Annotations(name=name), name.encode()
        if random.random() < 0.5:  # noqa: PLR2004
            secret = api.CreateSecretRequest(spec=api.SecretSpec(annotations=called, data=data))
            answer = await control.CreateSecret(secret, None)
            known.secrets[name] = answer.secret.id
            self._must_be_durable("secret", answer.secret)
        else:
            config = api.CreateConfigRequest(spec=api.ConfigSpec(annotations=called, data=data))
            made = await control.CreateConfig(config, None)
            known.configs[name] = made.config.id
            self._must_be_durable("config", made.config)

    async def _update(self, control: ControlServicer, service: api.Service) -> None:
        spec = _copy(service.spec)
        specs.change(self._random, spec, self._payloads)
        await self._send(control, service, spec)

    async def _scale(self, control: ControlServicer, service: api.Service) -> None:
        spec = _copy(service.spec)
        specs.scale(self._random, spec)
        await self._send(control, service, spec)

    async def _send(
        self, control: ControlServicer, service: api.Service, spec: api.ServiceSpec
    ) -> None:
        request = api.UpdateServiceRequest(
            service_id=service.id, service_version=service.meta.version, spec=spec
        )
        answer = await control.UpdateService(request, None)
        self._must_be_durable("service", answer.service)
        self._trace(f"user: updates {_told(spec)}")

    async def _roll_back(self, control: ControlServicer, service: api.Service) -> None:
        request = api.UpdateServiceRequest(
            service_id=service.id,
            service_version=service.meta.version,
            spec=service.spec,
            rollback=_PREVIOUS,
        )
        answer = await control.UpdateService(request, None)
        self._must_be_durable("service", answer.service)
        self._trace(f"user: rolls back {_told(answer.service.spec)}")

    async def _remove(self, control: ControlServicer, service: api.Service) -> None:
        request = api.RemoveServiceRequest(service_id=service.id)
        await control.RemoveService(request, None)
        if ("service", service.id) in self._disk.rows:
            self._wrong("durable", f"{service.id} was removed, and is on the disk")
        self._trace(f"user: removes {service.spec.annotations.name}")

    def _must_be_durable(self, kind: str, told: Any) -> None:
        row = self._disk.rows.get((kind, told.id))
        if row is None or row.version < told.meta.version.index:
            self._wrong("durable", f"{kind} {told.id} was acknowledged, and is not on the disk")


def _copy(spec: api.ServiceSpec) -> api.ServiceSpec:
    copied = api.ServiceSpec()
    copied.CopyFrom(spec)
    return copied


def _told(spec: api.ServiceSpec) -> str:
    """A spec on one line."""
    text = " ".join(str(spec).split())
    return f"{spec.annotations.name}: {text}"
