"""When a service is held because its tasks die everywhere in the same way (pure).

             tripped               hold ran               ran long enough
    CLOSED ──────────▶ OPEN ────────────────▶ PROBING ─────────────────────▶ CLOSED
                        ▲ │                     │ │
                        │ └─ runs well, let go ─│─┴─ let go ──▶ CLOSED
                        └────── probe died ─────┘

It trips when at least TRIES tasks of one version of the spec died one after another, soon after
their start and in the same way, in as many slots as `needed` says, while none of them runs that
has outlived them. The hold begins short and doubles, so that a service which fails for a passing
reason is back soon. Off for jobs, for a policy that restarts nothing or counts its attempts, and
for a service with the label swarmd.breaker=off.
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random
from typing import Final

from swarmd import api
from swarmd.api import defaults, labels, services, tasks
from swarmd.api.protos.governor_pb2 import Breaker
from swarmd.backoff import Backoff
from workers.manager.orchestrators import restart_policy

TRIES: Final = 5
WINDOW_SECONDS: Final = 900.0  # so many tries, within that time
FIRST_HOLD_SECONDS: Final = 20.0
PROOF_SECONDS: Final = 5.0  # who runs that long, and twice as long as the dead, proves the service
_FEW: Final = 3
_SHARE: Final = 10  # one slot in ten has to fail, where there are many
_VARYING: Final = re.compile(r"[0-9a-z]{12,}|\d+")  # ids, ports, addresses in an error
_FAILED: Final = frozenset({api.TaskState.FAILED, api.TaskState.REJECTED})

State = Breaker.State
Place = int | str


class Event(Enum):
    """What moves a breaker."""

    TRIPPED = auto()
    HOLD_RAN = auto()
    PROBE_DIED = auto()
    RUNS_WELL = auto()
    LET_GO = auto()


MOVES: Final[Mapping[State.ValueType, Mapping[Event, State.ValueType]]] = {
    State.CLOSED: {Event.TRIPPED: State.OPEN},
    State.OPEN: {
        Event.HOLD_RAN: State.PROBING,
        Event.RUNS_WELL: State.CLOSED,
        Event.LET_GO: State.CLOSED,
    },
    State.PROBING: {
        Event.PROBE_DIED: State.OPEN,
        Event.RUNS_WELL: State.CLOSED,
        Event.LET_GO: State.CLOSED,
    },
}


def after(state: State.ValueType, event: Event) -> State.ValueType:
    """The state that follows; an AssertionError for a move that is impossible."""
    assert event in MOVES[state], f"a breaker that is {State.Name(state)} cannot be {event.name}"
    return MOVES[state][event]


@dataclass(frozen=True, slots=True)
class Death:
    """A task that failed soon after its start."""

    place: Place
    node_id: str
    way: str  # deaths of one way are alike
    at: float
    lived_seconds: float


@dataclass(slots=True)
class Streak:
    """The deaths of late, all alike, of one version of a service's spec."""

    spec_version: int
    way: str = ""
    count: int = 0
    longest_seconds: float = 0.0
    places: set[Place] = field(default_factory=set)
    nodes: set[str] = field(default_factory=set)
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=TRIES))

    def add(self, death: Death) -> None:
        """One more; one of another way begins anew."""
        if death.way != self.way:
            self.forget()
            self.way = death.way
        self.count += 1
        self.longest_seconds = max(self.longest_seconds, death.lived_seconds)
        self.places.add(death.place)
        self.nodes.add(death.node_id)
        self._times.append(death.at)

    def forget(self) -> None:
        """A task ran well."""
        self.way, self.count, self.longest_seconds = "", 0, 0.0
        self.places.clear()
        self.nodes.clear()
        self._times.clear()

    @property
    def is_ripe(self) -> bool:
        """Worth a look at all of the service's tasks."""
        return len(self._times) == TRIES and self._times[-1] - self._times[0] <= WINDOW_SECONDS

    def trips(self, places: int, oldest_seconds: float) -> bool:
        """Is this everywhere? Of so many slots, with one running for that long at most."""
        everywhere = len(self.places) >= needed(places)
        return self.is_ripe and everywhere and oldest_seconds <= self.longest_seconds

    @property
    def proof_seconds(self) -> float:
        """How long a task has to run to count as well."""
        return min(restart_policy.WELL_SECONDS, max(PROOF_SECONDS, 2 * self.longest_seconds))


def needed(places: int) -> int:
    """In how many of so many slots tasks have to die."""
    return min(places, max(_FEW, places // _SHARE))


def is_exempt(service: api.Service) -> bool:
    """Its spec says how restarts end, or that nothing is to be held."""
    spec = service.spec.task
    return (
        services.is_job(service)
        or defaults.restart_condition(spec) == api.RestartPolicy.RestartCondition.NONE
        or spec.restart.max_attempts > 0
        or service.spec.annotations.labels.get(labels.BREAKER, "").lower() == "off"
    )


def counts(task: api.Task, service: api.Service) -> bool:
    """It failed by its agent's word, as the service is now, and no update is to judge of it.

    What died with its host does not count: hosts that lose their power are no fault of a service.
    """
    return (
        task.status.state in _FAILED
        and not tasks.went_with_its_engine(task)
        and task.status.HasField("applied_at")
        and task.spec_version.index == service.spec_version.index
        and not services.update_under_way(service)
        and not is_exempt(service)
    )


def death_of(task: api.Task, service: api.Service) -> Death | None:
    """The death of a task that `counts`; None where it ran well before."""
    lived = restart_policy.lived_seconds(task)
    if restart_policy.ran_well(task, lived):
        return None
    way = way_of(task.status)
    return Death(place_of(task, service), task.node_id, way, tasks.since(task), lived)


def place_of(task: api.Task, service: api.Service) -> Place:
    return task.node_id if services.is_per_node(service) else task.slot


def way_of(status: api.TaskStatus) -> str:
    """How it died, in words that are the same for deaths that are alike."""
    if status.container.exit_code:
        return f"exit code {status.container.exit_code}"
    return _VARYING.sub("…", " ".join(status.err.split()))[:200] or "no reason given"


def build(service: api.Service, found: Iterable[api.Task]) -> Streak:
    """The streak as these tasks, what is kept of the past, tell it: for a new leader."""
    streak = Streak(service.spec_version.index)
    for task in sorted((one for one in found if counts(one, service)), key=tasks.since):
        note(streak, task, service)
    return streak


def note(streak: Streak, task: api.Task, service: api.Service) -> None:
    """Count a task that `counts`."""
    death = death_of(task, service)
    if death is None:
        streak.forget()
    else:
        streak.add(death)


def hold_seconds(times_opened: int, random: Random) -> float:
    """How long it stays open when it was opened so often in a row."""
    backoff = Backoff(FIRST_HOLD_SECONDS, restart_policy.CEILING_SECONDS, random)
    backoff.failures = times_opened - 1
    return backoff.next()
