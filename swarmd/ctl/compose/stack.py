"""A project as one stack: everything that is to be there, and what of it cannot be had (pure)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from swarmd import api
from swarmd.api import images
from swarmd.ctl.compose.errors import ComposeError, shown
from swarmd.ctl.compose.objects import (
    PREDEFINED,
    external_names,
    full_name,
    network_specs,
    payload_specs,
    used_networks,
)
from swarmd.ctl.compose.project import Project, Surroundings
from swarmd.ctl.compose.services import service_specs

_KINDS: Final = ("network", "secret", "config")


@dataclass(frozen=True, slots=True)
class Stack:
    """Specs by full name, what others have to have made before, and a line for each surprise."""

    name: str
    services: dict[str, api.ServiceSpec]
    networks: dict[str, api.NetworkSpec]
    secrets: dict[str, api.SecretSpec]
    configs: dict[str, api.ConfigSpec]
    external: dict[str, list[str]]
    notices: tuple[str, ...]


def stack_of(name: str, project: Project, around: Surroundings) -> Stack:
    """Raises ComposeError for what no change of the cluster could make good."""
    if not name.strip(" \t\r\n\"'") or not name.isprintable():
        raise ComposeError(f"{shown(name)!r} is no name for a stack")
    try:
        return _stack(name, project, around)
    except ComposeError as error:
        raise project.located(error) from error


def _stack(name: str, project: Project, around: Surroundings) -> Stack:
    services = service_specs(name, project, around)
    if not services:
        raise ComposeError("there is no service in it")
    return Stack(
        name=name,
        services=services,
        networks=network_specs(name, project),
        secrets=payload_specs("secret", name, project, around),
        configs=payload_specs("config", name, project, around),
        external={kind: external_names(kind, name, project) for kind in _KINDS},
        notices=(*project.notices, *_notices(name, project)),
    )


def _notices(stack: str, project: Project) -> Iterator[str]:
    """What the files ask for and this cluster does not have."""
    section = project.section("networks")
    titles = [full_name(stack, name, section) for name in used_networks(project)]
    services = project.section("services").values()
    only_host = all(images.is_host(one["image"]) for one in services)
    if titles := [one for one in titles if not (only_host and one in PREDEFINED)]:
        yield (
            f"there is no network driver: no task is attached to {', '.join(titles)}; containers "
            "are on their engine's default network, host processes on the host's"
        )
    published = [
        name
        for name, one in project.section("services").items()
        if any("mode" not in port for port in one.get("ports", ()))
    ]
    if published:
        yield (
            f"there is no routing mesh: ports of {', '.join(published)} are published on the nodes "
            "that run a task (mode: host), and on no others"
        )
