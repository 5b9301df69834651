"""swarmctl backup: the whole cluster into one sealed file."""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import click

from swarmd.api.protos.backup_pb2 import BackupInfo, BackupPart, TakeBackupRequest
from swarmd.ctl.aliases import SwarmCommand
from swarmd.ctl.connection import Control, with_control
from swarmd.errors import UnavailableError
from swarmd.rpc.limits import ANY_SIZE
from swarmd.security import recovery_key
from swarmd.security.sealed_parts import Kind, PartWriter, passphrase_bytes

_STDOUT: Final = Path("-")
_SILENCE_SECONDS: Final = 30.0
T = TypeVar("T")


@click.command(
    cls=SwarmCommand,
    examples="""
    swarmctl backup cluster.backup
    swarmctl backup --passphrase-file /root/backup.pass --force /mnt/backups/cluster.backup
    swarmctl backup - | ssh elsewhere 'cat > cluster.backup'
    """,
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "-p",
    "--passphrase",
    is_flag=True,
    help="Seal it under a passphrase: asked for, or one line on standard input",
)
@click.option(
    "--passphrase-file",
    type=click.File("r"),
    metavar="FILE",
    help="… or the first line of this file (- is standard input)",
)
@click.option("--force", is_flag=True, help="Replace FILE where it is there already")
@with_control
async def backup(
    control: Control, file: Path, passphrase: bool, passphrase_file: Any, force: bool
) -> None:
    """Write all of the cluster to FILE (- is standard output), to be restored by `swarmd restore`

    It has every object, the root CA's key, the join tokens and the secrets: it is sealed under a
    passphrase or, where none is given, under a new recovery key, which is shown once.
    """
    _check_place(file, force=force)
    kind, secret = _secret(passphrase_file, ask=passphrase)
    try:
        with _written(file, force=force) as out:
            info, size = await _take(control, out, kind, secret)
    except OSError as error:
        raise click.ClickException(f"cannot write {_name(file)}: {error.strerror}") from error
    objects = sum(info.counts.values())
    said = f"{_name(file)}: cluster {info.cluster_id}, {objects} objects, {size:,} bytes"
    click.echo(f"{said}, as of version {info.version}", err=True)
    if kind is Kind.RECOVERY_KEY:
        click.echo(
            "Recovery key, without which nothing opens it. It is shown this once; keep it where "
            f"the backup is not:\n\n    {recovery_key.show(secret)}\n",
            err=True,
        )


def _check_place(file: Path, *, force: bool) -> None:
    if file == _STDOUT:
        if sys.stdout.isatty():
            raise click.UsageError("a backup is no text: give a file, or a pipe.")
    elif file.is_dir():
        raise click.ClickException(f"{file} is a directory: name a file in it")
    elif file.exists() and not force:
        raise click.ClickException(f"{file} is there already: give --force to replace it")


def _secret(file: Any, *, ask: bool) -> tuple[Kind, bytes]:
    """What the backup is sealed under."""
    if file is None and not ask:
        return Kind.RECOVERY_KEY, recovery_key.mint()
    if file is not None:
        text = file.readline()
    elif sys.stdin.isatty():
        text = click.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    else:
        text = sys.stdin.readline()
    text = text.rstrip("\r\n")
    if not text:
        raise click.UsageError("an empty passphrase protects nothing.")
    return Kind.PASSPHRASE, passphrase_bytes(text)


@contextlib.contextmanager
def _written(file: Path, *, force: bool) -> Iterator[BinaryIO]:
    """What the block writes is FILE, whole and on disk, or nothing is; raises OSError."""
    if file == _STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    descriptor, temporary = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        _check_place(file, force=force)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


async def _take(
    control: Control, out: BinaryIO, kind: Kind, secret: bytes
) -> tuple[BackupInfo, int]:
    """Seal each part as it comes; what it was, and how many bytes that made."""
    writer = await asyncio.to_thread(PartWriter, out, kind, secret)
    info: BackupInfo | None = None
    stream = _timely(control.backup.Take(TakeBackupRequest(), metadata=(ANY_SIZE,)))
    async for part, last in _with_last(stream):
        info = info or part.info
        await asyncio.to_thread(writer.write, part.SerializeToString(), last=last)
    if info is None:
        raise UnavailableError("the manager sent nothing: try again")
    return info, writer.size


async def _timely(stream: Any) -> AsyncIterator[BackupPart]:
    """A manager that hangs must not hang its user too."""
    parts = aiter(stream)
    while True:
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                part = await anext(parts, None)
        except TimeoutError as error:
            message = f"the manager fell silent for {_SILENCE_SECONDS:g} s: nothing was written"
            raise UnavailableError(message) from error
        if part is None:
            return
        yield part


async def _with_last(stream: AsyncIterator[T]) -> AsyncIterator[tuple[T, bool]]:
    """Each, and whether it is the last one, which shows when the stream has ended soundly."""
    before: list[T] = []
    async for one in stream:
        if before:
            yield before.pop(), False
        before.append(one)
    if before:
        yield before.pop(), True


def _name(file: Path) -> str:
    return "standard output" if file == _STDOUT else str(file)
