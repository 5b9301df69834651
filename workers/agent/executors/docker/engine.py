"""The connection to one Docker engine: calls in threads, and who waits for which container.

Events say that something changed, never what: whoever waits looks again. So does everyone after the
engine was away, and a look at all containers now and then finds what no event told.
"""

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from typing import Any, Final, TypeVar

from docker import APIClient
from docker.errors import create_api_error_from_http_exception
from docker.utils import kwargs_from_env
from requests import HTTPError, Response

from swarmd.backoff import Backoff
from swarmd.clock import Clock
from swarmd.logs import fields, get_logger
from workers.agent.executors.docker import state, stream
from workers.agent.executors.docker.container import TASK_ID_LABEL, TASK_LABEL
from workers.agent.executors.docker.errors import ENGINE_ERRORS, translated
from workers.agent.executors.docker.state import ContainerState
from workers.agent.executors.errors import TemporaryError

log = get_logger(__name__)
_T = TypeVar("_T")

_THREADS: Final = 16
_CALL_SECONDS: Final = 60
_KNOCK_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 15.0
_FIRST_RETRY: Final = 0.1
_LONGEST_RETRY: Final = 5.0
_EVENTS: Final = ("start", "die", "destroy", "health_status", "oom", "pause", "unpause")
_HEALTH: Final = re.compile(r"\((healthy|unhealthy|health: starting)\)")


class Engine:
    """One engine. `run` keeps the connection; everything else fails while there is none."""

    def __init__(self, address: str, clock: Clock, random: Random) -> None:
        self.address = address
        self.info: Mapping[str, Any] = {}
        self.api_version = ""
        self._clock = clock
        self._backoff = Backoff(_FIRST_RETRY, _LONGEST_RETRY, random)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="docker")
        self._client: APIClient | None = None
        self._tried = asyncio.Event()
        self._reason = "not asked yet"
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._seen: dict[str, str] = {}
        self._on_connect: list[Callable[[], None]] = []

    def on_connect(self, do: Callable[[], None]) -> None:
        """Call it after each time that the engine was found."""
        self._on_connect.append(do)

    async def run(self) -> None:
        """Connect, follow, and connect again, until cancelled."""
        try:
            while True:
                try:
                    await self._follow()
                except TemporaryError as error:
                    self._lose(error)
                await self._clock.sleep(self._backoff.next())
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def connected(self) -> None:
        """Return when the engine answers; raises TemporaryError when it does not."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._tried.wait()
        except TimeoutError:
            self._reason = "no answer in time"
        self._connection()

    async def call(self, do: Callable[[APIClient], _T]) -> _T:
        """What the engine answers; raises the errors of ../errors.py."""
        await self.connected()
        return await self._in_thread(partial(do, self._connection()))

    async def stream(
        self, method: str, path: str, params: Mapping[str, Any], headers: Mapping[str, str] | None
    ) -> AsyncGenerator[bytes, None]:
        """A body that comes in pieces; raises as `call` does."""
        await self.connected()
        body = stream.pieces(partial(_open, self._connection(), method, path, params, headers))
        try:
            async with contextlib.aclosing(body):
                async for piece in body:
                    yield piece
        except ENGINE_ERRORS as error:
            raise translated(error) from error

    async def inspect(self, name: str) -> dict[str, Any]:
        """All that the engine knows of a container; raises GoneError where it has none."""
        return dict(await self.call(lambda client: client.inspect_container(name)))

    async def state(self, name: str) -> ContainerState:
        """How it stands; raises GoneError where there is none."""
        return state.read(await self.inspect(name))

    async def wait(
        self, name: str, task_id: str, until: Callable[[ContainerState], bool]
    ) -> ContainerState:
        """Its state, as soon as that is so; raises GoneError when it is not there any more."""
        with self.watched(task_id) as changed:
            while True:
                changed.clear()
                found = await self.state(name)
                if until(found):
                    return found
                await changed.wait()

    @contextlib.contextmanager
    def watched(self, task_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the task's container may have changed."""
        changed = asyncio.Event()
        watchers = self._watchers.setdefault(task_id, set())
        watchers.add(changed)
        try:
            yield changed
        finally:
            watchers.discard(changed)
            if not watchers and self._watchers.get(task_id) is watchers:
                del self._watchers[task_id]

    def _connection(self) -> APIClient:
        if self._client is None:
            raise TemporaryError(f"no answer from the Docker engine {self.address}: {self._reason}")
        return self._client

    async def _in_thread(self, do: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, do)
        except ENGINE_ERRORS as error:
            raise translated(error) from error

    async def _follow(self) -> None:
        """Connect, and tell of all changes until the connection is lost; raises TemporaryError."""
        client = await self._in_thread(partial(connect, self.address))
        try:
            self.info = await self._in_thread(client.info)
            self.api_version = client.api_version
            await self._keep_fresh(client)
        except BaseExceptionGroup as errors:
            raise _first(errors) from errors
        finally:
            self._client = None
            client.close()

    async def _keep_fresh(self, client: APIClient) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_events(client))
            self._seen = await self._look(client)
            self._find(client)
            while True:
                await self._clock.sleep(_LOOK_SECONDS)
                self._compare(await self._look(client))

    def _find(self, client: APIClient) -> None:
        log.info(
            "containers run in a Docker engine",
            extra=fields(engine=self.address, version=self.info.get("ServerVersion", "")),
        )
        self._client = client
        self._tried.set()
        self._backoff.reset()
        self._wake_all()
        for do in self._on_connect:
            do()

    def _lose(self, error: TemporaryError) -> None:
        if self._client is not None or not self._tried.is_set() or self._reason != str(error):
            log.warning(
                "no answer from a Docker engine", extra=fields(engine=self.address, reason=error)
            )
        self._reason = str(error)
        self._tried.set()

    async def _follow_events(self, client: APIClient) -> None:
        """A little of the past comes with them: what happened while we were on our way here."""
        params = {
            "since": str(int(self._clock.now()) - 2),
            "filters": json.dumps(
                {"type": ["container"], "label": [TASK_LABEL], "event": list(_EVENTS)}
            ),
        }
        body = stream.pieces(partial(_open, client, "GET", "/events", params, None))
        try:
            async for event in stream.json_lines(body):
                self._wake(event["Actor"]["Attributes"].get(TASK_ID_LABEL, ""))
        except ENGINE_ERRORS as error:
            raise translated(error) from error
        raise TemporaryError("it closed the connection")

    async def _look(self, client: APIClient) -> dict[str, str]:
        """Every task's container in a word or two, by the task's id."""
        found = await self._in_thread(
            partial(client.containers, all=True, filters={"label": [TASK_LABEL]})
        )
        return {
            each["Labels"].get(TASK_ID_LABEL, ""): f"{each['State']} {_health(each['Status'])}"
            for each in found
        }

    def _compare(self, seen: dict[str, str]) -> None:
        before, self._seen = self._seen, seen
        for task_id in before.keys() | seen.keys():
            if before.get(task_id) != seen.get(task_id):
                self._wake(task_id)

    def _wake(self, task_id: str) -> None:
        for changed in self._watchers.get(task_id, ()):
            changed.set()

    def _wake_all(self) -> None:
        for task_id in self._watchers:
            self._wake(task_id)


def connect(address: str, timeout: int = _CALL_SECONDS) -> APIClient:
    """In a thread: it asks the engine for its version. `timeout` is that of a call, in seconds."""
    if address.startswith("unix://"):
        _knock(address.removeprefix("unix://"))
    tls = kwargs_from_env().get("tls") if address.startswith("tcp://") else None
    client = APIClient(
        base_url=address,
        version="auto",
        timeout=timeout,
        tls=tls or False,
        max_pool_size=_THREADS * 2,
    )
    client.trust_env = False  # a proxy is for registries, not for the engine
    return client


def _knock(path: str) -> None:
    """Whether anyone listens there, in plain words: the SDK wraps them, and leaks its socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
        visitor.settimeout(_KNOCK_SECONDS)
        visitor.connect(path)


def _open(
    client: APIClient,
    method: str,
    path: str,
    params: Mapping[str, Any],
    headers: Mapping[str, str] | None,
) -> Response:
    """In a thread: start a request whose body has no end of its own."""
    response = client.request(
        method,
        f"{client.base_url}/v{client.api_version}{path}",
        params=dict(params),
        headers=dict(headers or {}),
        stream=True,
        timeout=(_CALL_SECONDS, None),
    )
    try:
        response.raise_for_status()
    except HTTPError as error:
        raise create_api_error_from_http_exception(error) from error
    return response


def _health(status: str) -> str:
    found = _HEALTH.search(status)
    return found[1] if found else ""


def _first(errors: BaseExceptionGroup) -> BaseException:
    """The first that says what happened."""
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
