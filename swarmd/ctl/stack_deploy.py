"""A stack made so in the cluster: networks, secrets, configs, then services; what is so is left.

Each object is found by its full name and the stack's label. What goes wrong is told with the
object's name; what was done before it stays, and the next deploy goes on from there.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from grpc import aio

from swarmd import api
from swarmd.ctl.compose.objects import NAMESPACE
from swarmd.ctl.compose.stack import Stack
from swarmd.ctl.connection import Control
from swarmd.ctl.resolve import list_labelled, list_named
from swarmd.errors import InvalidArgumentError, NotFoundError, Status, SwarmError
from swarmd.rpc.errors import from_rpc_error

_PAYLOADS: Final = ("secret", "config")
Say = Callable[[str], object]
KINDS: Final = ("service", "secret", "config", "network")
"""What a stack is made of, in the order in which it is removed."""


async def find(control: Control, kind: str, stack: str) -> dict[str, Any]:
    """The stack's objects of that kind, by full name."""
    found = await list_labelled(control, kind, {NAMESPACE: stack})
    return {one.spec.annotations.name: one for one in found}


async def deploy(
    control: Control,
    stack: Stack,
    *,
    prune: bool,
    credentials: Mapping[str, str],
    say: Say,
) -> dict[str, str]:
    """Do it; the services' names by id. Raises SwarmError, with the name of what went wrong.

    `credentials` are headers for a registry, by image; an image without one keeps what it had.
    """
    await _check_external(control, stack)
    if prune:
        present = await find(control, "service", stack.name)
        gone = [one for name, one in sorted(present.items()) if name not in stack.services]
        for one in gone:
            await remove(control, "service", one, say)
    await _networks(control, stack, say)
    for kind in _PAYLOADS:
        await _payloads(control, kind, stack, say)
    return await _services(control, stack, credentials, say)


async def _check_external(control: Control, stack: Stack) -> None:
    for kind, names in stack.external.items():
        missing = set(names) - set(await list_named(control, kind, names))
        if missing:
            raise InvalidArgumentError(
                f"external {kind} not found: {', '.join(sorted(missing))}; create it first"
            )


async def _networks(control: Control, stack: Stack, say: Say) -> None:
    present = await find(control, "network", stack.name)
    for name, spec in stack.networks.items():
        if name not in present:
            say(f"Creating network {name}")
            with named("create", "network", name):
                await control.api.CreateNetwork(api.CreateNetworkRequest(spec=spec))


async def _payloads(control: Control, kind: str, stack: Stack, say: Say) -> None:
    """Secrets or configs. A secret's data is never shown: only its update tells if it differs."""
    specs: Mapping[str, Any] = getattr(stack, f"{kind}s")
    present = await list_named(control, kind, specs)
    for name, spec in specs.items():
        if name not in present:
            say(f"Creating {kind} {name}")
            with named("create", kind, name):
                await _call(control, "Create", kind, spec=spec)
        elif present[name].spec != spec:
            await _update_payload(control, kind, present[name], spec)


async def _update_payload(control: Control, kind: str, one: Any, spec: Any) -> None:
    name = spec.annotations.name
    try:
        with named("update", kind, name):
            fields = {f"{kind}_id": one.id, f"{kind}_version": one.meta.version}
            await _call(control, "Update", kind, spec=spec, **fields)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f"{kind} {name} is there with other data, which cannot change while tasks may use it: "
            f"give the new one another name (name: {name}_2) and deploy again"
        ) from error


async def _services(
    control: Control, stack: Stack, credentials: Mapping[str, str], say: Say
) -> dict[str, str]:
    ids = {kind: await list_named(control, kind, _referenced(stack, kind)) for kind in _PAYLOADS}
    present = await find(control, "service", stack.name)
    done = {}
    for name, spec in stack.services.items():
        _fill_in_ids(spec, ids)
        one = present.get(name)
        wanted = wanted_spec(spec, one, credentials.get(spec.task.container.image, ""))
        done[await _service(control, one, wanted, say)] = name
    return done


def wanted_spec(
    spec: api.ServiceSpec, one: api.Service | None, credentials: str
) -> api.ServiceSpec:
    """The spec with what no compose file says: forced updates so far, and registry credentials."""
    wanted = api.ServiceSpec()
    wanted.CopyFrom(spec)
    if one is not None:
        wanted.task.force_update = one.spec.task.force_update
        if one.spec.task.container.HasField("pull_options"):
            old = one.spec.task.container.pull_options
            wanted.task.container.pull_options.CopyFrom(old)
    if credentials:
        wanted.task.container.pull_options.registry_auth = credentials
    return wanted


async def _service(
    control: Control, one: api.Service | None, spec: api.ServiceSpec, say: Say
) -> str:
    """Created, updated or left as it is; its id."""
    name = spec.annotations.name
    if one is None:
        say(f"Creating service {name}")
        with named("create", "service", name):
            reply = await control.api.CreateService(api.CreateServiceRequest(spec=spec))
        return str(reply.service.id)
    if one.spec == spec:
        say(f"Unchanged service {name} (id: {one.id})")
        return one.id
    say(f"Updating service {name} (id: {one.id})")
    request = api.UpdateServiceRequest(
        service_id=one.id, service_version=one.meta.version, spec=spec
    )
    with named("update", "service", name):
        await control.api.UpdateService(request)
    return one.id


def _referenced(stack: Stack, kind: str) -> set[str]:
    return {
        getattr(one, f"{kind}_name")
        for spec in stack.services.values()
        for one in getattr(spec.task.container, f"{kind}s")
    }


def _fill_in_ids(spec: api.ServiceSpec, ids: Mapping[str, Mapping[str, Any]]) -> None:
    container: Any = spec.task.container
    for kind in _PAYLOADS:
        for one in getattr(container, f"{kind}s"):
            name = getattr(one, f"{kind}_name")
            if name not in ids[kind]:  # removed by somebody else meanwhile
                raise NotFoundError(kind, name)
            setattr(one, f"{kind}_id", ids[kind][name].id)
    if container.privileges.credential_spec.config:
        config = ids["config"][container.privileges.credential_spec.config]
        container.privileges.credential_spec.config = config.id


async def remove(control: Control, kind: str, one: Any, say: Say) -> None:
    """Remove it, and say so; raises SwarmError."""
    name = one.spec.annotations.name
    say(f"Removing {kind} {name}")
    with named("remove", kind, name):
        await _call(control, "Remove", kind, **{f"{kind}_id": one.id})


async def _call(control: Control, verb: str, kind: str, **fields: Any) -> Any:
    title = kind.capitalize()
    request = getattr(api, f"{verb}{title}Request")(**fields)
    return await getattr(control.api, f"{verb}{title}")(request)


@contextlib.contextmanager
def named(verb: str, kind: str, name: str) -> Iterator[None]:
    """An error of a call, with what it was to do in front."""
    try:
        yield
    except aio.AioRpcError as error:
        said = from_rpc_error(error)
        sentence = f"failed to {verb} {kind} {name}: {said}"
        if said.status is Status.INVALID_ARGUMENT:
            raise InvalidArgumentError(sentence) from error
        raise SwarmError(sentence) from error
