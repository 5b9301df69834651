"""A container's output as log messages.

The engine sends frames: one byte that names the stream, three of nothing, the length, the text. A
container with a terminal has one stream, and no frames.
"""

import struct
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from google.protobuf.timestamp_pb2 import Timestamp

from swarmd import api
from workers.agent.executors.docker.engine import Engine

_HEADER: Final = struct.Struct(">BxxxL")
_UNKNOWN: Final = api.LogStream.LOG_STREAM_UNKNOWN
_STREAMS: Final = {1: api.LogStream.LOG_STREAM_STDOUT, 2: api.LogStream.LOG_STREAM_STDERR}

Frame = tuple[api.LogStream.ValueType, bytes]


class Frames:
    """Cuts what comes into frames."""

    def __init__(self) -> None:
        self._begun = b""

    def take(self, piece: bytes) -> Iterable[Frame]:
        """The frames that are whole by now."""
        data, start = self._begun + piece, 0
        while len(data) - start >= _HEADER.size:
            number, length = _HEADER.unpack_from(data, start)
            end = start + _HEADER.size + length
            if len(data) < end:
                break
            yield _STREAMS.get(number, _UNKNOWN), data[start + _HEADER.size : end]
            start = end
        self._begun = data[start:]


class Lines:
    """Cuts a terminal's output into lines."""

    def __init__(self) -> None:
        self._begun = b""

    def take(self, piece: bytes) -> Iterable[Frame]:
        """The lines that are whole by now."""
        *lines, self._begun = (self._begun + piece).split(b"\n")
        for line in lines:
            yield api.LogStream.LOG_STREAM_STDOUT, line + b"\n"


async def read(
    engine: Engine, name: str, options: api.LogSubscriptionOptions, *, tty: bool
) -> AsyncGenerator[api.LogMessage, None]:
    """Its messages, as the options ask; raises as an engine's calls do."""
    cutter = Lines() if tty else Frames()
    to_skip = max(0, options.tail)
    path = f"/containers/{name}/logs"
    async with aclosing(_body(engine, path, options)) as body:
        async for piece in body:
            for stream, text in cutter.take(piece):
                if to_skip:
                    to_skip -= 1
                else:
                    yield message(stream, text)


def parameters(options: api.LogSubscriptionOptions) -> dict[str, Any]:
    """The options as the engine takes them; a tail of -n is the last n - 1."""
    wanted = options.streams or _STREAMS.values()
    found: dict[str, Any] = {
        "follow": int(options.follow),
        "timestamps": 1,
        "details": 1,
        "stdout": int(api.LogStream.LOG_STREAM_STDOUT in wanted),
        "stderr": int(api.LogStream.LOG_STREAM_STDERR in wanted),
        "tail": str(-options.tail - 1) if options.tail < 0 else "all",
    }
    if options.HasField("since"):
        found["since"] = f"{options.since.seconds}.{options.since.nanos:09d}"
    return found


def message(stream: api.LogStream.ValueType, text: bytes) -> api.LogMessage:
    """Of `<time> <details> <line>`, as the engine writes it when asked for all."""
    written, _, rest = text.partition(b" ")
    details, _, line = rest.partition(b" ")
    found = api.LogMessage(stream=stream, data=line)
    found.timestamp.CopyFrom(_timestamp(written.decode()))
    for detail in details.decode(errors="replace").split(","):
        key, equals, value = detail.partition("=")
        if equals:
            found.attrs.add(key=unquote_plus(key), value=unquote_plus(value))
    return found


def _timestamp(text: str) -> Timestamp:
    """2026-01-02T03:04:05.123456789Z; protobuf's own parser takes five times as long."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return Timestamp(seconds=seconds, nanos=int(fraction.ljust(9, "0")) if fraction else 0)


def _body(
    engine: Engine, path: str, options: api.LogSubscriptionOptions
) -> AsyncGenerator[bytes, None]:
    return engine.stream("GET", path, parameters(options), None)
