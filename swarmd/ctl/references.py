"""What a service's spec names that lies elsewhere: secrets, configs, networks, registry logins."""

from collections.abc import Iterable
from typing import Any, Final

import click

from swarmd import api
from swarmd.api import images
from swarmd.ctl.connection import Control
from swarmd.ctl.resolve import resolve
from swarmd.ctl.values import flat, is_long, long_form

_READ_BY_ALL: Final = 0o444
_FILE_FIELDS: Final = ("source", "src", "target", "uid", "gid", "mode")
_NETWORK_FIELDS: Final = ("name", "alias", "driver-opt")
Reference = tuple[str, api.FileTarget]


async def add_references(
    control: Control, spec: api.ServiceSpec, kind: str, lists: Iterable[tuple[str, ...]]
) -> None:
    """Add what each asks for, of that kind (secret or config); raises NotFoundError."""
    wanted = [one for pieces in lists for one in references(pieces, kind)]
    for name, file in wanted:
        found = await resolve(control, kind, name)
        if not images.is_host(spec.task.container.image):  # Docker Engines fail without an owner
            file.uid, file.gid = file.uid or "0", file.gid or "0"
        ids = {f"{kind}_id": found.id, f"{kind}_name": found.spec.annotations.name}
        _references(spec, kind).add(file=file, **ids)


def drop_references(spec: api.ServiceSpec, kind: str, lists: Iterable[Iterable[str]]) -> None:
    """Take out every reference to these names."""
    gone = {text.partition(":")[0].strip() for text in flat(lists)}
    references = _references(spec, kind)
    kept = [one for one in references if getattr(one, f"{kind}_name") not in gone]
    del references[:]
    references.extend(kept)


def _references(spec: api.ServiceSpec, kind: str) -> Any:
    return getattr(spec.task.container, f"{kind}s")


def references(pieces: tuple[str, ...], kind: str) -> list[Reference]:
    """One flag's value: name[:target] each, or Docker's source=NAME,target=FILE,… together."""
    if any(map(is_long, pieces)):
        return [_long(",".join(pieces), kind)]
    return [_short(text, kind) for text in pieces]


def _short(text: str, kind: str) -> Reference:
    name, separator, target = (part.strip() for part in text.partition(":"))
    if not name or (separator and not target):
        raise click.BadParameter(f"{text!r} is not name[:target]", param_hint=f"--{kind}")
    # Without a user's number, Docker Engine cannot read it.
    return name, api.FileTarget(name=target or name, uid="0", gid="0", mode=_READ_BY_ALL)


def _long(text: str, kind: str) -> Reference:
    found = dict(long_form(text, f"--{kind}", _FILE_FIELDS))
    name = found.get("source") or found.get("src")
    if not name:
        raise click.BadParameter(f"{text!r} has no source=NAME", param_hint=f"--{kind}")
    file = api.FileTarget(
        name=found.get("target", name),
        uid=found.get("uid", "0"),
        gid=found.get("gid", "0"),
        mode=_mode(found["mode"], kind) if "mode" in found else _READ_BY_ALL,
    )
    return name, file


def _mode(text: str, kind: str) -> int:
    try:
        return int(text, 8)
    except ValueError as error:
        raise click.BadParameter(
            f"{text!r} is no file mode such as 0400", param_hint=f"--{kind}"
        ) from error


async def set_network(control: Control, spec: api.ServiceSpec, name: str) -> None:
    """This network alone."""
    found = await resolve(control, "network", name)
    del spec.task.networks[:]
    spec.task.networks.add(target=found.id)


async def change_networks(
    control: Control, spec: api.ServiceSpec, added: Iterable[str], gone: Iterable[str]
) -> None:
    """Take out and add networks, each NAME or name=NAME,alias=NAME,driver-opt=KEY=VALUE."""
    for name in gone:
        found = await resolve(control, "network", name)
        kept = [one for one in spec.task.networks if one.target != found.id]
        del spec.task.networks[:]
        spec.task.networks.extend(kept)
    for text in added:
        network = _attachment(text)
        network.target = (await resolve(control, "network", network.target)).id
        if network.target in {one.target for one in spec.task.networks}:
            raise click.ClickException(f"the service is attached to network {text} already")
        spec.task.networks.append(network)


def _attachment(text: str) -> api.NetworkAttachmentConfig:
    made = api.NetworkAttachmentConfig(target=text)
    if not is_long(text):
        return made
    fields = long_form(text, "--network", _NETWORK_FIELDS)
    made.target = dict(fields).get("name", "")
    made.aliases.extend(value for key, value in fields if key == "alias")
    for key, _, value in (value.partition("=") for key, value in fields if key == "driver-opt"):
        made.driver_attachment_opts[key] = value
    if not made.target:
        raise click.BadParameter(f"{text!r} has no name=NAME", param_hint="--network")
    return made


def registry_auth(image: str) -> str:
    """The login of the image's registry, as engines want it; raises ClickException without one."""
    found = registry_login(image)
    if not found:
        raise click.ClickException(f"--with-registry-auth: no login for {image}: log in first")
    return found


def registry_login(image: str) -> str:
    """What Docker's own configuration has for the image's registry, helpers asked; "" for nothing.

    Blocks; raises ClickException where it cannot be read.
    """
    # Here, and not above: it takes as long to import as all the rest, and few commands ask.
    from docker import auth  # noqa: PLC0415
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        registry, _ = auth.resolve_repository_name(image)
        found = auth.load_config().resolve_authconfig(registry)
    except DockerException as error:
        raise click.ClickException(f"--with-registry-auth: {image}: {error}") from error
    return auth.encode_header(found).decode() if found else ""
