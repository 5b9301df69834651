"""swarmd import: this host goes on with the swarm of SwarmKit's or Docker's own managers."""

import asyncio
import time
from pathlib import Path
from random import SystemRandom
from typing import Final

import click

from swarmd import api
from swarmd.cli.options import CONFIG_OPTION, Directory, Socket
from swarmd.cli.unlock import ask_key
from swarmd.config import DEFAULT_STATE_DIR
from swarmd.errors import CannotBootError, CorruptStateError, ExitStatus, SwarmError
from swarmd.migration.adaptation import Adapted, adapt
from swarmd.migration.found import Found
from swarmd.migration.live_manager import read_live
from swarmd.migration.new_state import make_state, refuse_occupied
from swarmd.migration.stopped_manager import read_stopped
from swarmd.security import unlock_key
from swarmd.state_dir import StateDir
from swarmd.store.tables import KINDS

_LEFT_OUT: Final = frozenset({"clusters"})  # there is one, and it is named


@click.command("import")
@CONFIG_OPTION
@click.option(
    "--state-dir",
    "-d",
    "source",
    type=Directory(),
    help="State directory of a manager that is stopped; Docker's is /var/lib/docker/swarm.",
)
@click.option("--from-socket", type=Socket(), help="Control socket of a manager that runs.")
@click.option(
    "--secrets",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="With --from-socket: a directory with the data of each secret, in a file of its name.",
)
@click.option(
    "--into",
    "state_dir",
    type=Directory(),
    envvar="SWARMD_STATE_DIR",
    default=DEFAULT_STATE_DIR,
    show_default=True,
    help="State directory to make; it has to be empty.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be imported.")
def import_swarm(
    *,
    config: Path | None,  # noqa: ARG001
    source: Path | None,
    from_socket: Path | None,
    secrets: Path | None,
    state_dir: Path,
    dry_run: bool,
) -> None:
    """Import a swarm of SwarmKit's or Docker's managers, with this host as its only manager.

    From a stopped manager's directory comes everything: its workers keep their certificates, and
    come back where this host has the address that they know. Asks for the unlock key where that
    manager is locked, or reads it from standard input. A running manager shows neither its
    secrets nor its CA's key: that makes a new cluster, into which each node joins anew. The source
    is never changed. What does not come over is named, line by line.
    """
    if (source is None) == (from_socket is None):
        raise click.UsageError("give either --state-dir or --from-socket.")
    if secrets is not None and from_socket is None:
        raise click.UsageError("--secrets goes with --from-socket: a state directory has them.")
    try:
        asyncio.run(_import(source, from_socket, secrets, StateDir(state_dir), dry_run=dry_run))
    except OSError as error:
        raise click.ClickException(f"{error.filename or source}: {error.strerror}") from error
    except SwarmError as error:
        click.echo(f"Error: {error}", err=True)
        lasting = isinstance(error, CannotBootError | CorruptStateError)
        raise SystemExit(ExitStatus.CANNOT_BOOT if lasting else ExitStatus.FAILED) from error


async def _import(
    source: Path | None, socket: Path | None, secrets: Path | None, into: StateDir, *, dry_run: bool
) -> None:
    if not dry_run:
        refuse_occupied(into)
    if source is not None:
        found = await asyncio.to_thread(read_stopped, source, lambda: unlock_key.parse(ask_key()))
    else:
        assert socket is not None
        found = await read_live(socket, secrets, time.time(), SystemRandom())
    own_id = found.certificates.identity.node_id
    adapted = adapt(found.store, own_id, found.place, time.time())
    if not dry_run:
        await make_state(into, found, adapted.store)
    _report(found, adapted, into, dry_run=dry_run)


def _report(found: Found, adapted: Adapted, into: StateDir, *, dry_run: bool) -> None:
    word = "would import" if dry_run else "imported"
    click.echo(f"{word} cluster {adapted.cluster.id} from {found.place}")
    click.echo(f"  {_counts(adapted.store)}")
    remarks = [*found.remarks, *adapted.remarks]
    if remarks:
        click.echo("not as it was:")
    for remark in remarks:
        click.echo(f"  {remark}")
    if dry_run:
        return
    click.echo(f"this host is manager {found.certificates.identity.node_id}, alone; go on with")
    click.echo(f"  {_start(found, into)}")


def _counts(store: api.StoreSnapshot) -> str:
    counted = ((kind.table, len(getattr(store, kind.table))) for kind in KINDS)
    words = (f"{n} {t if n != 1 else t[:-1]}" for t, n in counted if n and t not in _LEFT_OUT)
    return ", ".join(words)


def _start(found: Found, into: StateDir) -> str:
    words = ["swarmd start"]
    if into.root != DEFAULT_STATE_DIR:
        words.append(f"--state-dir {into.root}")
    if found.advertised:
        port = found.advertised.rpartition(":")[2]
        words.append(f"--listen-remote-api 0.0.0.0:{port}")
        words.append(f"--advertise-remote-api {found.advertised}")
    return " ".join(words)
