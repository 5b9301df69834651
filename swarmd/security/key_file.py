"""The node key on disk: PKCS#8 PEM, with headers, as SwarmKit writes it.

    -----BEGIN PRIVATE KEY-----
    kek-version: 0

    MIGHAgEAMBMGByqGSM49…

Headers carry what belongs to the key but is none of it; whoever rewrites the file keeps those that
it does not know. grpcio and OpenSSL refuse a key with headers, so `read` gives it without.

With autolock the key is sealed under the cluster's unlock key (ENCRYPTED PRIVATE KEY). It opens in
a process that was told the unlock key, and whoever replaces it there seals it again.
"""

import base64
import contextlib
import fcntl
import os
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from swarmd.errors import CannotBootError, CorruptStateError, FailedPreconditionError
from swarmd.security import sealed_key, unlock_key
from swarmd.state_dir import PRIVATE_FILE, replace_file

KEK_VERSION: Final = "kek-version"
FIRST_HEADERS: Final = {KEK_VERSION: "0"}
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\n(.*?)-----END \1-----", re.DOTALL)
_COLUMNS: Final = 64
_PLAIN: Final = "PRIVATE KEY"
_SEALED: Final = "ENCRYPTED PRIVATE KEY"

Headers = Mapping[str, str]


class LockedError(FailedPreconditionError):
    """The key is sealed, and the unlock key is not known, or another one.

    A worker that ends with it is started again, and told the key if the other worker knows it.
    """


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key without its headers, and the headers."""

    pem: bytes
    headers: Headers


def read(path: Path) -> KeyFile:
    """The file's key; raises CorruptStateError, or LockedError for a sealed key."""
    kind, headers, content = _parse(path)
    if kind != _SEALED:
        return KeyFile(_block(kind, content), headers)
    key = unlock_key.remembered(path)
    if not key:
        raise LockedError(f"{path} is locked: unlock this node with `swarmd unlock`")
    return KeyFile(_block(_PLAIN, _unseal(path, content, key)), headers)


def is_sealed(path: Path) -> bool:
    """Raises CorruptStateError for a file that holds no key."""
    return path.exists() and _parse(path)[0] == _SEALED


def unlock(path: Path, key: bytes) -> None:
    """Have `read` open the file with this key from now on; raises LockedError where it does not."""
    kind, _, content = _parse(path)
    if kind == _SEALED:
        _unseal(path, content, key)
    unlock_key.remember(path, key)


def headers(path: Path) -> Headers:
    """The headers to keep when the key is replaced; those of a first key where there is none."""
    return read(path).headers if path.exists() else FIRST_HEADERS


def sealing(path: Path) -> bytes:
    """The unlock key under which this file is sealed now; empty where it is not."""
    return unlock_key.remembered(path) if is_sealed(path) else b""


def write(path: Path, pem: bytes, with_headers: Headers, key: bytes = b"") -> None:
    """Replace the file atomically, sealed under `key` if one is given; raises OSError.

    It is readable by its owner alone. This process opens it with that key from now on.
    """
    found = _BLOCK.search(pem)
    assert found is not None
    kind, (_, content) = found[1].decode(), _split(found[2].decode())
    if key:
        kind, content = _SEALED, sealed_key.seal(content, key)
    lines = "".join(f"{name}: {with_headers[name]}\n" for name in sorted(with_headers))
    replace_file(path, _block(kind, content, lines and lines + "\n"), PRIVATE_FILE)
    unlock_key.remember(path, key)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Nobody else replaces the file within the block: two workers of a node do. Raises OSError."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def corrupt(path: Path, why: str) -> CorruptStateError:
    """The error for a certificate file that cannot be used, with the ways out."""
    return CorruptStateError(
        f"{path} cannot be used: {why}. Restore {path.parent} from a backup; or, to give this node"
        f" a new identity, move the state directory {path.parent.parent} away and start again"
    )


def _parse(path: Path) -> tuple[str, dict[str, str], bytes]:
    """The file's kind, headers and content."""
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise corrupt(path, "it is missing") from error
    except OSError as error:
        raise CorruptStateError(f"{path} cannot be read: {error.strerror}") from error
    found = _BLOCK.search(text.replace(b"\r\n", b"\n"))
    if found is None:
        raise corrupt(path, "it holds no key in PEM form")
    headers, content = _split(found[2].decode("ascii", "replace"))
    if "DEK-Info" in headers:
        raise CannotBootError(f"{path} is sealed in the form of OpenSSL, which is not supported")
    return found[1].decode(), headers, content


def _unseal(path: Path, content: bytes, key: bytes) -> bytes:
    try:
        return sealed_key.unseal(content, key)
    except ValueError as error:
        raise LockedError(f"wrong unlock key: it does not open {path}") from error


def _split(body: str) -> tuple[dict[str, str], bytes]:
    """The headers of a PEM block, and its bytes; a body that is not base64 gives none."""
    found = {}
    encoded = []
    for line in body.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip()] = value.strip()
        else:
            encoded.append(line.strip())
    try:
        return found, base64.b64decode("".join(encoded), validate=True)
    except ValueError:
        return found, b""


def _block(kind: str, content: bytes, head: str = "") -> bytes:
    lines = "\n".join(textwrap.wrap(base64.b64encode(content).decode(), _COLUMNS))
    return f"-----BEGIN {kind}-----\n{head}{lines}\n-----END {kind}-----\n".encode()
