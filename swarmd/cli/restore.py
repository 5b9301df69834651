"""swarmd restore: this host goes on with the cluster of a backup, as its only manager."""

import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom
from typing import Any, BinaryIO, Final

import click

from swarmd import api
from swarmd.api import times
from swarmd.cli.options import CONFIG_OPTION, STATE_DIR_OPTION
from swarmd.cli.service import count_tasks
from swarmd.clock import SystemClock
from swarmd.errors import CannotBootError, CorruptStateError, ExitStatus, SwarmError
from swarmd.node.lock import hold_lock
from swarmd.security import recovery_key
from swarmd.security.sealed_parts import Head, Kind, passphrase_bytes
from swarmd.state_dir import PRIVATE_DIR, StateDir
from swarmd.store import restoring
from swarmd.store.findings import findings
from swarmd.store.restoring import Restored

_NAMES: Final = {Kind.PASSPHRASE: "Passphrase", Kind.RECOVERY_KEY: "Recovery key"}


@click.command()
@CONFIG_OPTION
@STATE_DIR_OPTION
@click.argument("file", type=click.File("rb"))
@click.option(
    "--passphrase-file",
    type=click.File("r"),
    metavar="FILE",
    help="Read the passphrase or recovery key from this file's first line (- is standard input).",
)
@click.option("--force", is_flag=True, help="Move aside what this state directory has of a node.")
@click.option(
    "--dry-run", is_flag=True, help="Only say what the backup holds, and whether it is whole."
)
def restore(  # noqa: PLR0917
    config: Path | None,  # noqa: ARG001
    state_dir: Path,
    file: BinaryIO,
    passphrase_file: Any,
    force: bool,
    dry_run: bool,
) -> None:
    """Go on with the cluster of a backup, with this host as its only manager.

    FILE is what `swarmctl backup` wrote (- is standard input). The state directory must hold no
    node. Asks for the passphrase or the recovery key, or reads it from standard input. Afterwards
    `swarmd start`: workers come back by the addresses that they know.
    """
    place = StateDir(state_dir)
    try:
        if not dry_run:
            _check_free(place, force=force)
        restored = _read(file, passphrase_file)
        _say_what(restored)
        if not dry_run:
            asyncio.run(_restore(restored, place, force=force))
    except OSError as error:
        raise click.ClickException(f"{error.filename or file.name}: {error.strerror}") from error
    except SwarmError as error:
        click.echo(f"Error: {error}", err=True)
        lasting = isinstance(error, CannotBootError | CorruptStateError)
        raise SystemExit(ExitStatus.CANNOT_BOOT if lasting else ExitStatus.FAILED) from error


def _check_free(place: StateDir, *, force: bool) -> None:
    there = place.kept()
    if there and not force:
        raise click.ClickException(
            f"{place.root} holds a node already ({', '.join(one.name for one in there)}): give "
            "another --state-dir, `swarmd leave` first, or --force to move that aside"
        )
    if running := count_tasks(place):
        raise click.ClickException(
            f"{running} tasks of the node in {place.root} still run: `swarmd stop --tasks` first"
        )


def _read(file: BinaryIO, passphrase_file: Any) -> Restored:
    if file is sys.stdin.buffer and passphrase_file is None:
        raise click.UsageError("with the backup on standard input, give --passphrase-file.")
    head = Head.read(file, file.name)
    secret = _secret(head.kind, passphrase_file)
    return restoring.read(file, head, secret, time.time(), SystemRandom())


def _secret(kind: Kind, file: Any) -> bytes:
    if file is not None:
        text = file.readline()
    elif sys.stdin.isatty():
        text = click.prompt(_NAMES[kind], hide_input=True, err=True)
    else:
        text = sys.stdin.readline()
    text = text.rstrip("\r\n")
    return passphrase_bytes(text) if kind is Kind.PASSPHRASE else recovery_key.parse(text)


def _say_what(restored: Restored) -> None:
    info = restored.info
    taken = datetime.fromtimestamp(times.seconds(info.taken_at), UTC)
    when = f"{taken:%Y-%m-%d %H:%M:%S} UTC"
    click.echo(f"cluster {info.cluster_id} as of {when} (version {info.version})")
    counts = (f"{kind} {count}" for kind, count in sorted(info.counts.items()) if count)
    click.echo(f"  {', '.join(counts)}")
    for finding in findings(restored.before):
        click.echo(f"Warning: {finding}", err=True)


async def _restore(restored: Restored, place: StateDir, *, force: bool) -> None:
    place.root.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
    async with hold_lock(place.lock, SystemClock(), asyncio.Event()):
        _check_free(place, force=force)
        made = await restoring.make(restored, place)
        aside = restoring.put_in_place(made, place)
    if aside is not None:
        click.echo(f"what was in {place.root} is in {aside} now: delete it once all is well")
    _say_who(restored)


def _say_who(restored: Restored) -> None:
    after = restored.takeover
    click.echo(f"this host is manager {after.node.id}, alone; go on with `swarmd start`")
    if after.removed:
        click.echo(f"  removed, its tasks replaced: {_named(after.removed)}")
        click.echo(
            "  should one of these come back: `swarmd leave --force` there, before it meets a"
            " worker; then `swarmd join`"
        )
    if after.demoted:
        click.echo(f"  stays a worker, as promoting it had only begun: {_named(after.demoted)}")
    addresses = sorted({one.manager_status.addr for one in after.removed} - {""})
    if addresses:
        click.echo(
            f"  workers look for a manager at {', '.join(addresses)}: have this host answer at one"
            " of these, or start them with --join-addr and the worker's token"
        )


def _named(nodes: Sequence[api.Node]) -> str:
    return ", ".join(f"{one.id} ({one.description.hostname or 'no name'})" for one in nodes)
