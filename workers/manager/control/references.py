"""Who refers to whom: a service to the secrets, configs and networks it names."""

from collections.abc import Iterable, Sized

from swarmd import api
from swarmd.errors import InvalidArgumentError
from swarmd.store import ReadTable, ReadTx
from workers.manager.control.networks import is_ingress


def check_secrets_exist(tx: ReadTx, container: api.ContainerSpec) -> None:
    """Each has that id and that name; all that do not are told at once."""
    references = ((r.secret_id, r.secret_name) for r in container.secrets)
    _check_exist("secret", tx.secrets, references)


def check_configs_exist(tx: ReadTx, container: api.ContainerSpec) -> None:
    references = ((r.config_id, r.config_name) for r in container.configs)
    _check_exist("config", tx.configs, references)


def check_networks_open(tx: ReadTx, spec: api.TaskSpec) -> None:
    """The ingress network is for published ports alone."""
    for attachment in spec.networks:
        network = tx.networks.get(attachment.target)
        if network is not None and is_ingress(network):
            name = network.spec.annotations.name
            raise InvalidArgumentError(
                f'Service cannot be explicitly attached to the ingress network "{name}"'
            )


def check_unused(
    kind: str, name: str, users: list[api.Service] | list[api.Volume], noun: str = "service"
) -> None:
    """Nothing goes while a service, or a volume, refers to it."""
    if users:
        names = ", ".join(user.spec.annotations.name for user in users)
        raise InvalidArgumentError(
            f"{kind} '{name}' is in use by the following {plural(noun, users)}: {names}"
        )


def plural(noun: str, things: Sized) -> str:
    return noun if len(things) == 1 else f"{noun}s"


def _check_exist(
    kind: str,
    table: ReadTable[api.Secret] | ReadTable[api.Config],
    references: Iterable[tuple[str, str]],
) -> None:
    missing = []
    for object_id, name in references:
        found = table.get(object_id)
        if found is None or found.spec.annotations.name != name:
            missing.append(name)
    if missing:
        raise InvalidArgumentError(f"{plural(kind, missing)} not found: {', '.join(missing)}")
