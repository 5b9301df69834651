"""How large an answer may be: SwarmKit's clients take 4 MiB, and only say so when it is too late.

A client that takes more says so in the call's metadata: RECEIVES, in bytes, or -1 for any size.
"""

from collections.abc import Iterable
from typing import Any, Final

from swarmd.errors import ResourceExhaustedError

RECEIVES: Final = "swarmd-receive-limit"
ANY_SIZE: Final = (RECEIVES, "-1")
_USUAL: Final = 4 << 20
_MEBIBYTE: Final = 1 << 20


def check_size(size: int, metadata: Iterable[Any]) -> None:
    """Raises ResourceExhaustedError for an answer of more bytes than this call's client takes."""
    if size <= _USUAL:
        return
    limit = _limit(dict(metadata).get(RECEIVES, ""))
    if 0 <= limit < size:
        raise ResourceExhaustedError(
            f"the answer has {size / _MEBIBYTE:.1f} MiB, and this client takes"
            f" {limit / _MEBIBYTE:g} MiB: ask for less, with filters (a service, a node, an id"
            " prefix), or for pages, with swarmctl or swarmd.v1.Pages; a client that takes more"
            f" says so in the metadata {RECEIVES}"
        )


def _limit(told: Any) -> int:
    text = told.decode(errors="replace") if isinstance(told, bytes) else told
    try:
        return int(text)
    except ValueError:
        return _USUAL
