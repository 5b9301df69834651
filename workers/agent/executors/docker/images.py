"""The image of a task: who may pull it, and the pull itself.

A pull that fails is told in the log, and passed over where the image is on this host already: a
registry that is down stops no task whose image is here.
"""

import asyncio
import base64
import binascii
import json
import os
from typing import Any, Final

from docker import auth
from docker.errors import DockerException
from docker.utils import parse_repository_tag

from swarmd import api
from swarmd.logs import fields, get_logger
from workers.agent.executors.docker.container import full_name, is_image_id
from workers.agent.executors.docker.engine import Engine
from workers.agent.executors.docker.stream import json_lines
from workers.agent.executors.errors import (
    ExecutorError,
    GoneError,
    RejectedError,
    TemporaryError,
)

log = get_logger(__name__)

_OFFLINE: Final = "DOCKER_SERVICE_PREFER_OFFLINE_IMAGE"  # Docker Engine's own switch


async def provide(engine: Engine, spec: api.ContainerSpec) -> None:
    """Bring the newest image of that name here; raises RejectedError where there is none."""
    image = full_name(spec.image)
    if is_image_id(image) or os.environ.get(_OFFLINE) == "1":
        return
    if "@" in image and await _is_here(engine, image):
        return
    try:
        await _pull(engine, image, spec.pull_options.registry_auth)
    except TemporaryError:
        raise
    except ExecutorError as error:
        if not await _is_here(engine, image):
            raise RejectedError(f"image: {image}: {error}") from error
        log.warning("using the image that is here", extra=fields(image=image, reason=error))


async def _is_here(engine: Engine, image: str) -> bool:
    try:
        await engine.call(lambda client: client.inspect_image(image))  # type: ignore[no-untyped-call]
    except GoneError:
        return False
    return True


async def _pull(engine: Engine, image: str, given: str) -> None:
    repository, tag = parse_repository_tag(image)
    header = given or await asyncio.to_thread(_node_auth, repository)
    problem = ""
    pieces = engine.stream(
        "POST",
        "/images/create",
        params={"fromImage": repository, "tag": tag or "latest"},
        headers={"X-Registry-Auth": _checked(header)} if header else {},
    )
    async for message in json_lines(pieces):
        problem = message.get("error", problem)
        log.debug("pulling", extra=fields(image=image, status=message.get("status", "")))
    if problem:
        raise ExecutorError(problem)


def _node_auth(repository: str) -> str:
    """What this node's own docker config has for the registry; nothing, where it has nothing."""
    try:
        registry, _ = auth.resolve_repository_name(repository)
        found = auth.load_config().resolve_authconfig(registry)
    except DockerException as error:
        log.warning("cannot use the docker config", extra=fields(reason=error))
        return ""
    return auth.encode_header(found).decode() if found else ""


def _checked(header: str) -> str:
    """What clients send is URL-safe base64 of JSON; raises RejectedError for anything else."""
    try:
        found: Any = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (binascii.Error, ValueError) as error:
        raise RejectedError("pull_options.registry_auth: cannot be read") from error
    if not isinstance(found, dict):
        raise RejectedError("pull_options.registry_auth: is not what a registry takes")
    return header
