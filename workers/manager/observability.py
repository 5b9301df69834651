"""What a manager shows of itself over HTTP: /metrics for Prometheus, /debug/ for its developers.

Served from a thread each, on the addresses of --listen-metrics and --listen-debug; neither is
listened on unless asked for, and neither shows a secret.
"""

import asyncio
import gc
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import make_wsgi_app
from prometheus_client.registry import Collector

from swarmd import api
from swarmd.config import NodeConfig
from swarmd.errors import CannotBootError
from swarmd.logs import fields, get_logger
from swarmd.store import Store

log = get_logger(__name__)

_App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_KINDS: Final = ("services", "networks", "secrets", "configs")
_PLAIN: Final = [("Content-Type", "text/plain; charset=utf-8")]


class Observability:
    """The two HTTP listeners of a manager."""

    def __init__(self, config: NodeConfig, store: Store) -> None:
        self._config = config
        self._store = store

    async def run(self) -> None:
        """Serve until cancelled; raises CannotBootError for an address that cannot be had."""
        loop = asyncio.get_running_loop()
        with ExitStack() as stack:
            if self._config.listen_metrics:
                registry = CollectorRegistry()
                for make in (ProcessCollector, PlatformCollector, GCCollector):
                    make(registry=registry)
                registry.register(StoreCollector(self._store, loop))
                _serve(
                    stack, "--listen-metrics", self._config.listen_metrics, make_wsgi_app(registry)
                )
            if self._config.listen_debug:
                _serve(stack, "--listen-debug", self._config.listen_debug, _debug_app(loop))
            await asyncio.Event().wait()


class StoreCollector(Collector):
    """SwarmKit's gauges of what the cluster holds."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._loop = loop

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: the registry need not ask the store at registration."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Asked in a thread; the store is read in its own loop."""
        future = asyncio.run_coroutine_threadsafe(self._count(), self._loop)
        yield from future.result(timeout=10)

    async def _count(self) -> list[Metric]:
        tx = self._store.view()
        found: list[Metric] = []
        for kind in _KINDS:
            count = len(getattr(tx, kind))
            found.append(GaugeMetricFamily(f"swarm_manager_{kind}_total", f"{kind}", count))
        states = GaugeMetricFamily("swarm_manager_tasks_total", "tasks by state", labels=["state"])
        _by_state(states, api.TaskState, (one.status.state for one in tx.tasks.find()))
        nodes = GaugeMetricFamily("swarm_manager_nodes", "nodes by state", labels=["state"])
        _by_state(nodes, api.NodeStatus.State, (one.status.state for one in tx.nodes.find()))
        version = GaugeMetricFamily("swarm_store_version", "last transaction", self._store.version)
        leader = GaugeMetricFamily("swarm_manager_leader", "whether this manager leads", 1)
        return [*found, states, nodes, version, leader]


def _by_state(family: GaugeMetricFamily, names: Any, values: Iterable[int]) -> None:
    counts = dict.fromkeys(names.values(), 0)
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    for value, count in counts.items():
        family.add_metric([names.Name(value).lower()], count)


def _debug_app(loop: asyncio.AbstractEventLoop) -> _App:
    pages: dict[str, Callable[[], str]] = {
        "/debug/stacks": _stacks,
        "/debug/tasks": lambda: _tasks(loop),
        "/debug/objects": _objects,
    }

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        page = pages.get(environ["PATH_INFO"])
        start("200 OK" if page else "404 Not Found", _PLAIN)
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
