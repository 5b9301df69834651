"""Networks, secrets and configs to their specs, and how a stack names things (pure)."""

from collections.abc import Mapping
from typing import Any, Final

from swarmd import api
from swarmd.ctl.compose.errors import ComposeError
from swarmd.ctl.compose.project import Project, Surroundings

NAMESPACE: Final = "com.docker.stack.namespace"
IMAGE: Final = "com.docker.stack.image"
PREDEFINED: Final = frozenset({"host", "bridge", "none", "default"})
"""Networks that every Docker engine has by itself."""
Section = Mapping[str, dict[str, Any]]


def full_name(stack: str, name: str, section: Section) -> str:
    """What the cluster knows it by: its own name where it has one, else STACK_name."""
    one = section.get(name, {})
    own: str = one.get("name", name if one.get("external") else "")
    return own or f"{stack}_{name}"


def stack_labels(stack: str, given: Mapping[str, str] | None) -> dict[str, str]:
    """The given labels, and the one by which the stack's things are found."""
    return {**(given or {}), NAMESPACE: stack}


def payload_specs(kind: str, stack: str, project: Project, around: Surroundings) -> dict[str, Any]:
    """Secrets or configs that are to be there, by full name; raises ComposeError."""
    section = project.section(f"{kind}s")
    return {
        full_name(stack, name, section): _payload(kind, stack, name, section, around)
        for name, one in section.items()
        if not one.get("external")
    }


def _payload(kind: str, stack: str, name: str, section: Section, around: Surroundings) -> Any:
    one, place = section[name], (f"{kind}s", name)
    spec: Any = api.SecretSpec() if kind == "secret" else api.ConfigSpec()
    spec.annotations.name = full_name(stack, name, section)
    spec.annotations.labels.update(stack_labels(stack, one.get("labels")))
    if "template_driver" in one:
        spec.templating.name = one["template_driver"]
    if "driver" in one:
        if "file" in one:
            raise ComposeError("has a driver and a file: only one of them knows the data", place)
        _driver(spec.driver, one)
    elif "file" not in one:
        raise ComposeError("needs a file, or external: true", place)
    else:
        spec.data = around.contents(one["file"], (*place, "file"))
    return spec


def _driver(driver: api.Driver, one: Mapping[str, Any]) -> None:
    driver.name = one.get("driver", "")
    driver.options.update(one.get("driver_opts", {}))


def network_specs(stack: str, project: Project) -> dict[str, api.NetworkSpec]:
    """Networks that services name and that are to be there, by full name.

    Without their drivers: a cluster without network drivers refuses those.
    """
    section = project.section("networks")
    found = {}
    for name in used_networks(project):
        one = section.get(name, {})
        title = full_name(stack, name, section)
        if not one.get("external") and title not in PREDEFINED:
            found[title] = _network(stack, title, one)
    return found


def _network(stack: str, title: str, one: Mapping[str, Any]) -> api.NetworkSpec:
    spec = api.NetworkSpec(
        internal=one.get("internal", False), attachable=one.get("attachable", False)
    )
    spec.annotations.name = title
    spec.annotations.labels.update(stack_labels(stack, one.get("labels")))
    for config in one.get("ipam", {}).get("config", ()):
        spec.ipam.configs.add(
            subnet=config.get("subnet", ""),
            gateway=config.get("gateway", ""),
            range=config.get("ip_range", ""),
        )
    return spec


def external_names(kind: str, stack: str, project: Project) -> list[str]:
    """What has to be there already: every external one; of networks, those that are used."""
    section = project.section(f"{kind}s")
    wanted = used_networks(project) if kind == "network" else section
    external = [name for name in wanted if section.get(name, {}).get("external")]
    names = [full_name(stack, name, section) for name in external]
    return [name for name in names if kind != "network" or name not in PREDEFINED]


def used_networks(project: Project) -> list[str]:
    """Networks that services name, and `default` where the file describes it.

    A service that names none is on none: there is no network driver that would make one for it.
    Raises ComposeError for one that the file does not have.
    """
    section = project.section("networks")
    found: dict[str, None] = {}
    for service_name, service in project.section("services").items():
        names = service.get("networks") or ({"default": {}} if "default" in section else {})
        for name in names:
            if name not in section and name != "default":
                place = ("services", service_name, "networks")
                raise ComposeError(
                    f"there is no network {name} under the top-level networks", place
                )
            found[name] = None
    return list(found)
