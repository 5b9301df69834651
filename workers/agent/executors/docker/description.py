"""What an engine adds to its node's description (pure)."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from swarmd import api

_KINDS: Final = ("Volume", "Authorization", "Log")
_CAPABILITIES: Final = {"volumedriver": "Volume", "networkdriver": "Network", "logdriver": "Log"}
_NETWORKS: Final = frozenset({"bridge", "host", "null"})
"""The drivers whose networks containers here can have: others would draw tasks that are refused."""


def describe(
    description: api.NodeDescription,
    info: Mapping[str, Any],
    managed: Iterable[Mapping[str, Any]] = (),
) -> None:
    """Add its version, labels, plugins and generic resources; `managed` are its own plugins."""
    engine = description.engine
    engine.engine_version = info.get("ServerVersion", "")
    for label in info.get("Labels") or ():
        key, equals, value = label.partition("=")
        if equals:
            engine.labels[key] = value
    found = {("Engine", "docker"), *_plugins(info), *_managed(managed)}
    for kind, name in sorted(found):
        engine.plugins.add(type=kind, name=name)
    _add_generic(description.resources, info.get("GenericResources") or ())


def _plugins(info: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    plugins = info.get("Plugins") or {}
    for kind in _KINDS:
        for name in plugins.get(kind) or ():
            yield kind, name
    for name in plugins.get("Network") or ():
        if name in _NETWORKS:
            yield "Network", name


def _managed(plugins: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    for plugin in plugins:
        for kind in plugin["Config"]["Interface"].get("Types") or ():
            prefix, _, rest = str(kind).partition(".")  # docker.volumedriver/1.0
            capability = rest.partition("/")[0]
            if plugin.get("Enabled") and prefix == "docker" and capability != "networkdriver":
                yield _CAPABILITIES.get(capability, capability), plugin["Name"]


def _add_generic(resources: api.Resources, found: Iterable[Mapping[str, Any]]) -> None:
    """What the node itself was told to offer goes first."""
    known = {_kind(resource) for resource in resources.generic}
    for each in found:
        if named := each.get("NamedResourceSpec"):
            spec = api.NamedGenericResource(kind=named["Kind"], value=named["Value"])
            resource = api.GenericResource(named_resource_spec=spec)
        else:
            discrete = each["DiscreteResourceSpec"]
            number = api.DiscreteGenericResource(kind=discrete["Kind"], value=discrete["Value"])
            resource = api.GenericResource(discrete_resource_spec=number)
        if _kind(resource) not in known:
            resources.generic.append(resource)


def _kind(resource: api.GenericResource) -> str:
    return resource.named_resource_spec.kind or resource.discrete_resource_spec.kind
