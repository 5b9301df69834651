"""swarmd store: look at a manager's store, whether it runs or not; nothing is changed."""

import asyncio
import json
import sys
import time
from pathlib import Path
from random import SystemRandom
from typing import Any, Final

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.text_format import MessageToString

from swarmd.cli.node_report import is_locked
from swarmd.cli.options import CONFIG_OPTION, STATE_DIR_OPTION
from swarmd.clock import SystemClock
from swarmd.errors import CannotBootError, ExitStatus, SwarmError, UnavailableError
from swarmd.quorum_file import QuorumFile
from swarmd.security import data_key, key_file, unlock_key
from swarmd.security.encryption import Sealer
from swarmd.state_dir import StateDir
from swarmd.store import SqliteBackend
from swarmd.store.backend import Loaded
from swarmd.store.etcd import EtcdBackend, EtcdClient, EtcdLease
from swarmd.store.findings import by_kind, findings
from swarmd.store.redaction import redacted
from swarmd.store.tables import ALL_KINDS, KIND_BY_NAME

_KINDS: Final = tuple(kind.name for kind in ALL_KINDS)
_SETTLE_SECONDS: Final = 3.0
_LEASE_SECONDS: Final = 1  # none is asked for


def _options(command: Any) -> Any:
    for option in (
        click.option(
            "--unlock-key-file",
            type=click.File("r"),
            metavar="FILE",
            help="Of a locked manager: read its unlock key from there (- is standard input).",
        ),
        STATE_DIR_OPTION,
        CONFIG_OPTION,
    ):
        command = option(command)
    return command


_redact_option = click.option(
    "--redact",
    type=bool,
    default=True,
    is_flag=False,
    flag_value=True,
    show_default=True,
    help="Keep back keys, payloads of secrets and configs, and values of environment variables;"
    " --redact=false shows them.",
)
_format_option = click.option(
    "--format",
    "form",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="Protobuf's text form, or one JSON object a line.",
)


@click.group()
def store() -> None:
    """Look at the store of this node's manager, while it runs or not. Nothing is changed."""


@store.command()
@_options
def check(config: Path | None, state_dir: Path, unlock_key_file: Any) -> None:  # noqa: ARG001
    """Read all of it, and say what does not fit together.

    Exit status: 0 where all is well, 1 where something does not fit, 78 where it cannot be read.
    """
    place = StateDir(state_dir)
    loaded = _load(place, unlock_key_file)
    found = findings(loaded, str(place.root))
    if found and is_locked(place):  # what is being written just now may come right by itself
        time.sleep(_SETTLE_SECONDS)
        later = findings(_load(place, None), str(place.root))
        found = [one for one in found if one in later]
    for finding in found:
        click.echo(finding)
    said = f"{len(loaded.rows)} objects, version {loaded.version}"
    click.echo(f"{said}: {f'{len(found)} do not fit' if found else 'sound'}")
    sys.exit(ExitStatus.FAILED if found else ExitStatus.CLEAN)


@store.command()
@click.option("--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="Only these kinds.")
@_format_option
@_redact_option
@_options
def dump(  # noqa: PLR0917
    config: Path | None,  # noqa: ARG001
    state_dir: Path,
    unlock_key_file: Any,
    kinds: tuple[str, ...],
    form: str,
    redact: bool,
) -> None:
    """Print every object, kind by kind."""
    place = StateDir(state_dir)
    objects = by_kind(_load(place, unlock_key_file), str(place.root))
    for kind in kinds or _KINDS:
        for one in objects[kind].values():
            click.echo(_shown(kind, redacted(one) if redact else one, form))


@store.command(name="object")
@click.argument("kind", type=click.Choice(_KINDS))
@click.argument("which", metavar="ID|NAME")
@_format_option
@_redact_option
@_options
def object_(  # noqa: PLR0917
    config: Path | None,  # noqa: ARG001
    state_dir: Path,
    unlock_key_file: Any,
    kind: str,
    which: str,
    form: str,
    redact: bool,
) -> None:
    """Print one object: by its id, the beginning of it, or its name."""
    place = StateDir(state_dir)
    objects = by_kind(_load(place, unlock_key_file), str(place.root))[kind]
    names = KIND_BY_NAME[kind].indexes.get("name", lambda _: ())
    found = [objects[which]] if which in objects else []
    found = found or [one for one in objects.values() if which.lower() in names(one)]
    found = found or [one for one in objects.values() if one.id.startswith(which)]
    if len(found) != 1:
        many = f"{len(found)} of them begin so" if found else "there is none"
        raise click.ClickException(f"{kind} {which}: {many}")
    click.echo(_shown(kind, redacted(found[0]) if redact else found[0], form))


def _shown(kind: str, one: Any, form: str) -> str:
    if form == "json":
        shown = MessageToDict(one, preserving_proto_field_name=True)
        return json.dumps({"kind": kind, "object": shown})
    text = MessageToString(one, as_utf8=True, indent=2)
    return f"{kind} {{\n{text}}}"


def _load(place: StateDir, unlock_key_file: Any) -> Loaded:
    """Everything, read once; ends the program where that cannot be done."""
    try:
        return asyncio.run(_read(place, unlock_key_file))
    except SwarmError as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(ExitStatus.CANNOT_BOOT) from error
    except OSError as error:
        click.echo(f"Error: {error.filename or place.root}: {error.strerror}", err=True)
        raise SystemExit(ExitStatus.CANNOT_BOOT) from error


async def _read(place: StateDir, unlock_key_file: Any) -> Loaded:
    quorum = QuorumFile.load(place.quorum)
    if quorum is None and not place.store.exists():
        raise CannotBootError(f"{place.root} has no store: is this node a manager?")
    sealer = _sealer(place, unlock_key_file)
    if quorum is None:
        backend = SqliteBackend(place.store, sealer)
        try:
            return await backend.look()
        finally:
            await backend.close()
    if sealer is None:
        raise key_file.corrupt(place.node_key, "it holds no data key")
    return await _read_etcd(place, quorum, sealer)


def _sealer(place: StateDir, unlock_key_file: Any) -> Sealer | None:
    """What opens the store; raises LockedError where that takes an unlock key."""
    if not place.node_key.exists():
        return None
    if unlock_key_file is not None:
        key_file.unlock(place.node_key, unlock_key.parse(unlock_key_file.readline()))
    elif key_file.is_sealed(place.node_key) and not unlock_key.remembered(place.node_key):
        key_file.unlock(place.node_key, unlock_key.parse(_ask()))
    keys = data_key.read_data_keys(place.node_key)
    return keys.sealer(place.node_key) if keys else None


def _ask() -> str:
    if not sys.stdin.isatty():
        raise CannotBootError("this manager's key file is locked: give --unlock-key-file")
    return str(click.prompt("Unlock key", hide_input=True, err=True))


async def _read_etcd(place: StateDir, quorum: QuorumFile, sealer: Sealer) -> Loaded:
    """What the managers keep together; their etcd has to run, and to have a quorum."""
    clock, random = SystemClock(), SystemRandom()
    client = EtcdClient(place.etcd / "client:0")
    lease = EtcdLease(client, quorum.node_id, _LEASE_SECONDS, clock, random)
    try:
        return await EtcdBackend(client, lease, sealer, clock, random).load()
    except UnavailableError as error:
        raise UnavailableError(
            f"{place.root} keeps the store in etcd with other managers: more than half of them have"
            f" to run, this one too ({error})"
        ) from error
    finally:
        await client.close()
