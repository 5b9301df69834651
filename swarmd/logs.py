"""Logging set-up: an event and key=value pairs a line, or one JSON object a line.

    log = get_logger(__name__)
    log.info("node is ready", extra=fields(node="f5l…", seconds=0.42))

The standard library's logging serves: the parent stays small, and structlog would cost it 5 MiB.
"""

import json
import logging
import sys
import time
from typing import Any, Final

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
}
_FIELDS: Final = "swarmd_fields"
_QUOTED: Final = frozenset(' "=\n\t')


def get_logger(name: str) -> logging.Logger:
    """The logger of a module; its name is shown as the line's `module`."""
    return logging.getLogger(name)


def fields(**pairs: Any) -> dict[str, dict[str, Any]]:
    """What a log call takes as `extra`, to put key=value pairs behind the event."""
    return {_FIELDS: pairs}


def set_up(process: str, level: str, form: str = "text") -> None:
    """Log to stderr from this level on, each line naming the process: swarmd, manager or agent.

    `form` is text or json. May be called again, to change either. Raises KeyError for an unknown
    level.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines(process) if form == "json" else _TextLines(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    # What gRPC says of its own loop at this level is no help to anybody.
    logging.getLogger("grpc").setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


class _Lines(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process

    def facts(self, record: logging.LogRecord) -> dict[str, Any]:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        facts = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "process": self.process,
            "event": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.levelno <= logging.DEBUG:
            facts["module"] = record.name
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return facts


class _TextLines(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        facts = self.facts(record)
        head = [facts.pop(name) for name in ("time", "level", "process", "event")]
        traceback = facts.pop("traceback", "")
        pairs = [f"{key}={_word(value)}" for key, value in facts.items()]
        line = f"{head[0]} {head[1]:<7} {head[2]:<7} {head[3]}"
        return " ".join([line, *pairs]) + (f"\n{traceback}" if traceback else "")


class _JsonLines(_Lines):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.facts(record), default=str)


def _word(value: Any) -> str:
    text = str(value)
    return json.dumps(text) if not text or _QUOTED & set(text) else text
