"""The node key on disk: PKCS#8 PEM, with headers, as SwarmKit writes it.

    -----BEGIN PRIVATE KEY-----
    kek-version: 0

    MIGHAgEAMBMGByqGSM49…

Headers carry what belongs to the key but is none of it; whoever rewrites the file keeps those that
it does not know. grpcio and OpenSSL refuse a key with headers, so `read` gives it without.
"""

import base64
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from swarmd.errors import CannotBootError, CorruptStateError
from swarmd.state_dir import PRIVATE_FILE, replace_file

FIRST_HEADERS: Final = {"kek-version": "0"}
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\n(.*?)-----END \1-----", re.DOTALL)
_COLUMNS: Final = 64


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key without its headers, and the headers."""

    pem: bytes
    headers: Mapping[str, str]


def read(path: Path) -> KeyFile:
    """The file's key; raises CorruptStateError, or CannotBootError for a sealed key."""
    try:
        text = path.read_bytes()
    except FileNotFoundError as error:
        raise corrupt(path, "it is missing") from error
    except OSError as error:
        raise CorruptStateError(f"{path} cannot be read: {error.strerror}") from error
    found = _BLOCK.search(text.replace(b"\r\n", b"\n"))
    if found is None:
        raise corrupt(path, "it holds no key in PEM form")
    kind, body = found[1].decode(), found[2].decode("ascii", "replace")
    headers, encoded = _split(body)
    if "ENCRYPTED" in kind or "DEK-Info" in headers:
        raise CannotBootError(f"{path} is sealed with an unlock key, which is not supported yet")
    return KeyFile(_block(kind, encoded), headers)


def headers(path: Path) -> Mapping[str, str]:
    """The headers to keep when the key is replaced; those of a first key where there is none."""
    return read(path).headers if path.exists() else FIRST_HEADERS


def write(path: Path, pem: bytes, with_headers: Mapping[str, str]) -> None:
    """Replace the file atomically, readable by its owner alone; raises OSError."""
    found = _BLOCK.search(pem)
    assert found is not None
    lines = "".join(f"{name}: {with_headers[name]}\n" for name in sorted(with_headers))
    _, encoded = _split(found[2].decode())
    replace_file(path, _block(found[1].decode(), encoded, lines and lines + "\n"), PRIVATE_FILE)


def corrupt(path: Path, why: str) -> CorruptStateError:
    """The error for a certificate file that cannot be used, with the ways out."""
    return CorruptStateError(
        f"{path} cannot be used: {why}. Restore {path.parent} from a backup; or, to give this node"
        f" a new identity, move the state directory {path.parent.parent} away and start again"
    )


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
