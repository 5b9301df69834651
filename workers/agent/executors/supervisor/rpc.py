"""Our end of the plugin's interface: XML-RPC over supervisord's socket.

Calls go out from one thread, one after another, as supervisord answers them. What many tasks ask at
the same time goes out as one call: while one is under way, the next gathers.
"""

import asyncio
import http.client
import json
import socket
import xmlrpc.client
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, NoReturn

from workers.agent.executors.errors import ExecutorError, GoneError, TemporaryError
from workers.agent.executors.supervisor.messages import (
    Changes,
    HostInfo,
    ProgramSettings,
    ProgramStatus,
)

_TIMEOUT: Final = 30.0  # seconds; supervisord answers in milliseconds, or is stopped or stuck
_MOST_IN_A_CALL: Final = 200  # tasks: a few milliseconds of supervisord's only thread
_UNKNOWN_METHOD: Final = 1
_NO_SUCH_TASK: Final = 10


class UnreachableError(TemporaryError):
    """No supervisord answers there."""


class NoPluginError(TemporaryError):
    """A supervisord answers, but it has no `swarmd` namespace."""


class SupervisorClient:
    """One supervisord, by its server URL: unix:///path or http://host:port."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="supervisord")
        self._proxy = _proxy(url)
        self._add = _Batch(partial(self._plural, "addTasks"))
        self._by_id = {
            method: _Batch(partial(self._plural, method))
            for method in ("startTasks", "stopTasks", "killTasks", "removeTasks")
        }

    async def info(self) -> HostInfo:
        """What it is; raises UnreachableError or NoPluginError where it is not for us."""
        return HostInfo(**json.loads(await self.call("swarmd.getInfo")))

    async def changes(self, boot: str, number: int, doorbell: str) -> Changes:
        return Changes.from_json(await self.call("swarmd.changes", boot, number, doorbell))

    async def task(self, task_id: str) -> ProgramStatus:
        """Raises GoneError where it has no such task."""
        return ProgramStatus(**json.loads(await self.call("swarmd.getTask", task_id)))

    async def add(self, settings: ProgramSettings) -> None:
        await self._add.submit(settings.to_dict())

    async def start(self, task_id: str) -> None:
        """Raises GoneError where it has no such task; so do the next two."""
        await self._by_id["startTasks"].submit(task_id)

    async def stop(self, task_id: str) -> None:
        await self._by_id["stopTasks"].submit(task_id)

    async def kill(self, task_id: str) -> None:
        await self._by_id["killTasks"].submit(task_id)

    async def remove(self, task_id: str) -> None:
        await self._by_id["removeTasks"].submit(task_id)

    async def call(self, method: str, *params: Any) -> Any:
        """Any method of any namespace; raises ExecutorErrors alone."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._call, method, params)

    def close(self) -> None:
        self._thread.submit(self._proxy("close"))
        self._thread.shutdown(wait=False)

    async def _plural(self, method: str, items: list[Any]) -> dict[str, str]:
        failed: dict[str, str] = json.loads(await self.call(f"swarmd.{method}", json.dumps(items)))
        return failed

    def _call(self, method: str, params: tuple[Any, ...]) -> Any:
        try:
            return getattr(self._proxy, method)(*params)
        except xmlrpc.client.Fault as fault:
            _raise(fault, self.url)
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            self._proxy("close")()
            raise UnreachableError(f"supervisord at {self.url} does not answer: {error}") from error


class _Batch:
    """Gathers what is asked one by one into calls; whoever comes first sends for all."""

    def __init__(self, send: Callable[[list[Any]], Awaitable[dict[str, str]]]) -> None:
        self._send = send
        self._sending = asyncio.Lock()
        self._waiting: list[tuple[Any, asyncio.Future[None]]] = []

    async def submit(self, item: Any) -> None:
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answered))
        async with self._sending:
            while not answered.done():
                await self._send_some()
        answered.result()

    async def _send_some(self) -> None:
        batch = self._waiting[:_MOST_IN_A_CALL]
        del self._waiting[:_MOST_IN_A_CALL]
        try:
            failed = await self._send([item for item, _ in batch])
        except ExecutorError as error:
            for _, answered in batch:
                answered.set_exception(type(error)(str(error)))
        except BaseException:
            self._waiting[:0] = batch  # cancelled: the next in line sends them, again
            raise
        else:
            for item, answered in batch:
                _answer(answered, failed.get(item if isinstance(item, str) else item["id"]))


def _answer(answered: asyncio.Future[None], failure: str | None) -> None:
    if failure is None:
        answered.set_result(None)
    else:
        answered.set_exception(GoneError(f"supervisord: {failure}"))


def _raise(fault: xmlrpc.client.Fault, url: str) -> NoReturn:
    if fault.faultCode == _UNKNOWN_METHOD:
        raise NoPluginError(f"the supervisord at {url} has no [rpcinterface:swarmd]") from fault
    if fault.faultCode == _NO_SUCH_TASK:
        raise GoneError(f"supervisord knows no task {fault.faultString}") from fault
    raise TemporaryError(f"supervisord: {fault.faultString}") from fault


def _proxy(url: str) -> xmlrpc.client.ServerProxy:
    if url.startswith("unix://"):
        transport = _UnixTransport(url.removeprefix("unix://"))
        return xmlrpc.client.ServerProxy("http://localhost", transport=transport)
    return xmlrpc.client.ServerProxy(url)


class _UnixTransport(xmlrpc.client.Transport):
    # supervisor.xmlrpc has one too; importing it costs the agent 4 MiB, and it knows no timeout.

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, _host: Any) -> http.client.HTTPConnection:
        held = self._connection[1]
        connection = _UnixConnection(self._path) if held is None else held
        self._connection = "localhost", connection
        return connection


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
