"""What arrives is a message, or bytes that are none: the caller is told, and nobody else.

grpcio would answer with UNKNOWN and write a traceback to the log, at anybody's wish.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from swarmd.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class Unsound:
    """In the place of a message that cannot be read."""

    reason: str


def reader(kind: Any) -> Callable[[bytes], Any]:
    """Bytes to a message of this kind, or to Unsound."""

    def read(data: bytes) -> Any:
        try:
            return kind.FromString(data)
        except DecodeError as error:
            return Unsound(f"not a sound {kind.DESCRIPTOR.name}: {error}")

    return read


def sound(request: Any) -> Any:
    """The message; raises InvalidArgumentError."""
    if isinstance(request, Unsound):
        raise InvalidArgumentError(request.reason)
    return request


async def each_sound(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The same, for a stream of them."""
    async for request in requests:
        yield sound(request)
