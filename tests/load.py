"""Clients whose every call is recorded, and held against the rules at the end.

load = Load(nodes, clients=3, patience=15)     # of configs; or registers=Services()
load.start()
…
load.stop()
load.check()                                   # nothing lost, nothing out of order
"""

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import grpc

from swarmd import api
from tests.cluster import RealNode, wait
from tests.history import Call, History, describe, violations
from tests.registers import Configs, Registers

_TOLD: Final = {
    grpc.StatusCode.NOT_FOUND: "absent",
    grpc.StatusCode.ALREADY_EXISTS: "exists",
    grpc.StatusCode.UNKNOWN: "stale",  # update out of sequence
}


class Load:
    """So many clients, over a few registers that they share."""

    def __init__(
        self,
        nodes: Sequence[RealNode],
        clients: int,
        patience: float,
        registers: Registers | None = None,
    ) -> None:
        self.history = History()
        self._nodes = nodes
        self._patience = patience
        self._registers = registers or Configs()
        self._prefix = f"r{random.randrange(1 << 40):x}"  # a run before may have left its own
        self._serial = itertools.count()
        self._stopped = threading.Event()
        self._errors: list[Exception] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(clients)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Calls under way end first."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(2 * self._patience)
            assert not thread.is_alive(), "a call hangs"
        if self._errors:
            raise self._errors[0]

    def wait_written(self, count: int = 3, seconds: float = 60.0) -> float:
        """Wait for so many acknowledged writes of those that begin from now on; the seconds."""
        since = time.monotonic()
        return wait(
            lambda: self._errors or len(self.history.acknowledged(since)) >= count,
            f"{count} writes",
            seconds,
        )

    def longest_gap(self) -> float:
        """The longest time in which no write was acknowledged."""
        ends = sorted(one.ended for one in self.history.acknowledged())
        return max((b - a for a, b in itertools.pairwise(ends)), default=0.0)

    def check(self) -> dict[str, Any]:
        """Read all registers once more, then hold the whole history against the rules.

        What is left, by name: what the rules allow to be there, and nothing else.
        """
        reading = self._client(0)
        for name in self._names():
            wait(lambda name=name: reading.read(name) is not None, f"a last read of {name}")
        reading.close()
        found = violations(self.history.calls)
        assert [] == found, f"{found}\n{describe(self.history.calls)}"
        return reading.known

    def _names(self) -> list[str]:
        return [f"{self._prefix}-{number}" for number in range(self._registers.count)]

    def _client(self, number: int) -> "_Client":
        return _Client(self.history, self._registers, self._nodes, number, self._patience)

    def _run(self, number: int) -> None:
        client = self._client(number)
        chance, names = random.Random(number), self._names()
        try:
            while not self._stopped.wait(self._registers.pause_seconds):
                client.step(chance.choice(names), f"{number}.{next(self._serial)}", chance)
        except Exception as error:  # noqa: BLE001  raised where the test waits
            self._errors.append(error)
        finally:
            client.close()


class _Client:
    """One user, at one manager until that does not answer, then at the next."""

    def __init__(
        self,
        history: History,
        registers: Registers,
        nodes: Sequence[RealNode],
        number: int,
        patience: float,
    ) -> None:
        self.known: dict[str, Any] = {}
        self._history = history
        self._registers = registers
        self._patience = patience
        self._nodes = itertools.cycle(
            [*nodes[number % len(nodes) :], *nodes[: number % len(nodes)]]
        )
        self._session: Any = None
        self._control: Any = None

    def step(self, name: str, value: str, chance: random.Random) -> None:
        known = self.known.get(name)
        if known is None or chance.random() < 0.3:
            if self.read(name) == "absent":
                self.create(name, value, chance)
        elif chance.random() < 0.8:
            self.update(known, value, chance)
        else:
            self.remove(known)

    def read(self, name: str) -> str | None:
        """What was found, ok or absent; None where nobody answered."""
        call = self._history.begin(name, "read")
        answer, _ = self._ask("List", filters={"names": [name]})
        if answer is None:
            return None
        one = next(iter(getattr(answer, f"{self._field}s")), None)
        self._take(name, one)
        if one is None:
            self._history.end(call, "absent")
        else:
            value = one.spec.annotations.labels["v"]
            self._history.end(call, "ok", value=value, id=one.id, version=self._version(one))
        return call.found

    def create(self, name: str, value: str, chance: random.Random) -> None:
        spec = self._registers.new(name, value, chance)
        call = self._history.begin(name, "create", value=value)
        self._note(call, *self._ask("Create", spec=spec))

    def update(self, known: Any, value: str, chance: random.Random) -> None:
        spec = type(known.spec)()
        spec.CopyFrom(known.spec)
        self._registers.change(spec, value, chance)
        about = {"id": known.id, "expected": self._version(known)}
        call = self._history.begin(spec.annotations.name, "update", value=value, **about)
        this = {f"{self._field}_id": known.id, f"{self._field}_version": known.meta.version}
        self._note(call, *self._ask("Update", spec=spec, **this))

    def remove(self, known: Any) -> None:
        call = self._history.begin(known.spec.annotations.name, "remove", id=known.id)
        self._note(call, *self._ask("Remove", **{f"{self._field}_id": known.id}))

    def close(self) -> None:
        session, self._session, self._control = self._session, None, None
        if session is not None:
            session.close()

    @property
    def _field(self) -> str:
        return self._registers.kind.lower()

    def _version(self, one: Any) -> int:
        """0 where it says nothing of who wrote."""
        return one.meta.version.index if self._registers.versions_are_writers else 0

    def _note(self, call: Call, answer: Any, error: Any) -> None:
        if answer is not None:
            one = getattr(answer, self._field, None)
            self._take(call.name, one)
            told = {"id": one.id, "version": one.meta.version.index} if one else {}
            self._history.end(call, "ok", **told)
        elif error is not None and error.code() in _TOLD:
            self._take(call.name, None)
            self._history.end(call, _TOLD[error.code()])

    def _take(self, name: str, one: Any) -> None:
        self.known.pop(name, None)
        if one is not None:
            self.known[name] = one

    def _ask(self, verb: str, **fields: Any) -> tuple[Any, Any]:
        """The answer, or the error; neither where there is no manager to ask at the moment."""
        method = f"{verb}{self._registers.kind}{'s' * (verb == 'List')}"
        request = getattr(api, f"{method}Request")(**fields)
        try:
            if self._control is None:
                self._session = contextlib.ExitStack()
                self._control = self._session.enter_context(next(self._nodes).control())
            return getattr(self._control, method)(request, timeout=self._patience), None
        except OSError:
            self._away()
            return None, None
        except grpc.RpcError as error:
            code = error.code()  # type: ignore[attr-defined]
            hung = code is grpc.StatusCode.DEADLINE_EXCEEDED
            assert not hung, f"{method} has no answer after {self._patience} s"
            if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
                self._away()
            return None, error

    def _away(self) -> None:
        self.close()
        time.sleep(0.01)
