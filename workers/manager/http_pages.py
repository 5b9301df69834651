"""What a manager shows of itself over HTTP: /metrics for Prometheus, /debug/ for its developers.

Served from a thread each, on the addresses of --listen-metrics and --listen-debug; neither is
listened on unless asked for, and neither shows a secret.
"""

import asyncio
import gc
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from swarmd.config import NodeConfig
from swarmd.errors import CannotBootError
from swarmd.logs import fields, get_logger
from swarmd.store import Store

log = get_logger(__name__)

_App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_PLAIN: Final = [("Content-Type", "text/plain; charset=utf-8")]


class HttpPages:
    """The two HTTP listeners of a manager."""

    def __init__(self, config: NodeConfig, store: Store) -> None:
        self._config = config
        self._store = store

    async def run(self) -> None:
        """Serve until cancelled; raises CannotBootError for an address that cannot be had."""
        loop = asyncio.get_running_loop()
        with ExitStack() as stack:
            if self._config.listen_metrics:
                # Here, and not above: most managers never need it, and all of them start faster.
                from workers.manager.metrics import metrics_app  # noqa: PLC0415

                _serve(
                    stack,
                    "--listen-metrics",
                    self._config.listen_metrics,
                    metrics_app(self._store, loop),
                )
            if self._config.listen_debug:
                _serve(stack, "--listen-debug", self._config.listen_debug, _debug_app(loop))
            await asyncio.Event().wait()


def _debug_app(loop: asyncio.AbstractEventLoop) -> _App:
    pages: dict[str, Callable[[], str]] = {
        "/debug/stacks": _stacks,
        "/debug/tasks": lambda: _tasks(loop),
        "/debug/objects": _objects,
    }

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        page = pages.get(environ["PATH_INFO"])
        start("200 OK" if page else "404 Not Found", [*_PLAIN])  # wsgiref adds to its list
        return [(page() if page else "\n".join(pages) + "\n").encode()]

    return app


def _stacks() -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"{names.get(ident, ident)}\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - the documented way
    )


def _tasks(loop: asyncio.AbstractEventLoop) -> str:
    lines = (f"{task.get_name()}: {task.get_coro()}" for task in asyncio.all_tasks(loop))
    return "\n".join(sorted(lines)) + "\n"


def _objects() -> str:
    counts: dict[str, int] = {}
    for one in gc.get_objects():
        name = type(one).__name__
        counts[name] = counts.get(name, 0) + 1
    most = sorted(counts.items(), key=lambda pair: -pair[1])[:50]
    return "\n".join(f"{count:8} {name}" for name, count in most) + "\n"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - wsgiref's name
        log.debug("http", extra=fields(request=format % args))


def _serve(stack: ExitStack, flag: str, address: str, app: Any) -> None:
    host, _, port = address.rpartition(":")
    try:
        server = make_server(host.strip("[]"), int(port), app, WSGIServer, _Quiet)
    except (OSError, ValueError, OverflowError) as error:
        raise CannotBootError(f"{flag} {address}: cannot listen: {error}") from error
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    threading.Thread(target=server.serve_forever, name=flag.strip("-"), daemon=True).start()
    log.info("serves HTTP", extra=fields(flag=flag, address=address))
