"""What every handler has at hand."""

from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any, Protocol

from swarmd import api
from swarmd.clock import Clock
from swarmd.errors import InvalidArgumentError, Status, SwarmError
from swarmd.store import Store

Context = Any  # grpcio's, or the wrapper with the caller that swarmd.rpc puts around it


class Members(Protocol):
    """The managers as a group."""

    def status(self, node_id: str) -> api.ManagerStatus | None:
        """How that node does as a manager; None for one that is no member of the group."""

    def refusal(self) -> str:
        """Why there can be no other manager; empty where there can."""


IsDirty = Callable[[api.Service, api.Task, api.Node | None], bool]


Endpoint = tuple[str, bytes]
Probe = Callable[[Sequence[Endpoint]], Awaitable[list[Endpoint]]]


CrossSign = Callable[[Sequence[str], api.RootCA], Awaitable[bytes]]


async def nobody_signs(urls: Sequence[str], root: api.RootCA) -> bytes:  # noqa: ARG001
    """The cross-signing of a manager that knows no external CA."""
    raise AssertionError("without an answer from one, none is asked")


async def nobody_answers(endpoints: Sequence[Endpoint]) -> list[Endpoint]:  # noqa: ARG001
    """The probe of a manager that knows no external CA."""
    return []


class Handlers:
    """The base of each noun's class; server.py makes one object of them all.

    `is_dirty` says whether an update of its service must replace a task, as the orchestrators do.
    `probe` gives those of some external CAs that answer, each by its URL and the root it signs for.
    `cross_sign` has one of those URLs make the intermediate from the present root to the following.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        members: Members,
        is_dirty: IsDirty,
        *,
        probe: Probe = nobody_answers,
        cross_sign: CrossSign = nobody_signs,
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._members = members
        self._is_dirty = is_dirty
        self._probe = probe
        self._cross_sign = cross_sign


class MissingError(SwarmError):
    """NOT_FOUND with a sentence of its own, where clients know another than the usual one."""

    status = Status.NOT_FOUND


class UnsoundStateError(SwarmError):
    """What every cluster has is not there: nothing that the caller could mend."""

    status = Status.INTERNAL


def invalid_argument() -> InvalidArgumentError:
    """SwarmKit's answer to a request without an id, a version or a spec."""
    return InvalidArgumentError("invalid argument")
