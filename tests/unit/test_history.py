"""The checker of histories: takes every sound one, and finds what is wrong in any other."""

import random
from collections.abc import Callable, Iterator

import pytest

from tests.history import FOREVER, Call, History, linear, violations

SEEDS = range(200)


class Register:
    """A sound one: each call happens whole, at a moment that chance chooses in its time."""

    def __init__(self) -> None:
        self.version = 0
        self.value, self.id, self.at = "", "", 0

    def do(self, call: Call) -> None:
        if call.kind == "read":
            call.found = "ok" if self.id else "absent"
            call.value, call.id, call.version = self.value, self.id, self.at
        elif call.kind == "create":
            call.found = "exists" if self.id else "ok"
            if not self.id:
                self._write(call, f"id{self.version}")
        elif call.id != self.id:
            call.found = "absent"
        elif call.kind == "remove":
            call.found, self.value, self.id, self.at = "ok", "", "", 0
        elif call.expected != self.at:
            call.found = "stale"
        else:
            call.found = "ok"
            self._write(call, self.id)

    def _write(self, call: Call, identity: str) -> None:
        self.version += 1
        self.value, self.id, self.at = call.value, identity, self.version
        call.id, call.version = identity, self.version


def sound_history(seed: int, count: int = 60, untold: float = 0.1) -> list[Call]:
    """Calls of several clients that overlap; some of them nobody was told the outcome of."""
    chance, register = random.Random(seed), Register()
    calls = []
    for number in range(count):
        happens = number + chance.random()
        call = _ask(chance, register, number)
        call.begun, call.ended = happens - 3 * chance.random(), happens + 3 * chance.random()
        before = (register.version, register.value, register.id, register.at)
        register.do(call)
        if chance.random() < untold:
            if chance.random() < 0.5:
                register.version, register.value, register.id, register.at = before
            _forget(call)
        calls.append(call)
    return calls


def _ask(chance: random.Random, register: Register, number: int) -> Call:
    kind = chance.choice(("read", "read", "create", "update", "update", "update", "remove"))
    stale = chance.random() < 0.2
    about = {"id": register.id or "id0", "expected": register.at - stale}
    return Call("x", kind, f"v{number}", **(about if kind in {"update", "remove"} else {}))


def _forget(call: Call) -> None:
    call.found, call.ended, call.version = "unknown", FOREVER, 0
    call.id = call.id if call.kind in {"update", "remove"} else ""


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sound_history_has_an_order(seed: int):
    assert [] == violations(sound_history(seed))


def lose_a_write(calls: list[Call]) -> bool:
    """An acknowledged update that nobody sees: what comes after has what was before."""
    for at, call in enumerate(calls):
        if call.kind == "update" and call.found == "ok":
            before = Call("x", "read", "older", call.id, begun=500.0, ended=501.0, found="ok")
            before.version = call.expected
            calls[at + 1 :] = [one for one in calls[at + 1 :] if one.ended < call.begun]
            calls.append(before)
            return True
    return False


def read_what_was_never_written(calls: list[Call]) -> bool:
    for call in calls:
        if call.kind == "read" and call.found == "ok":
            call.value = "never"
            return True
    return False


def let_two_leaders_write(calls: list[Call]) -> bool:
    """A second answer to an update of the same version: one of them must have been refused."""
    for call in calls:
        if call.kind == "update" and call.found == "ok":
            twin = Call("x", "update", "twin", call.id, call.expected, call.begun, call.ended, "ok")
            twin.version = 10_000
            calls.append(twin)
            return True
    return False


def forget_a_removal(calls: list[Call]) -> bool:
    for call in calls:
        if call.kind == "remove" and call.found == "ok":
            late = Call("x", "read", "back", call.id, begun=500.0, ended=501.0, found="ok")
            late.version = 1
            calls.append(late)
            return True
    return False


@pytest.mark.parametrize(
    "damage",
    [lose_a_write, read_what_was_never_written, let_two_leaders_write, forget_a_removal],
)
def test_a_seeded_violation_is_found(damage: Callable[[list[Call]], bool]):
    tried = 0
    for seed in SEEDS:
        calls = sound_history(seed, untold=0.0)
        if damage(calls):
            tried += 1
            assert not linear(calls), seed
    assert tried > len(SEEDS) // 2


def without_others_versions(calls: list[Call]) -> list[Call]:
    """As of objects that others than the recorded writers raise the versions of."""
    for call in calls:
        call.expected = 0
        call.version = 0 if call.kind == "read" else call.version
    return calls


@pytest.mark.parametrize("seed", SEEDS[::4])
def test_a_sound_history_has_an_order_where_versions_are_others_too(seed: int):
    assert [] == violations(without_others_versions(sound_history(seed)))


@pytest.mark.parametrize("damage", [lose_a_write, read_what_was_never_written, forget_a_removal])
def test_a_seeded_violation_is_found_by_values_alone(damage: Callable[[list[Call]], bool]):
    histories = [sound_history(seed, untold=0.0) for seed in SEEDS[::4]]
    damaged = [without_others_versions(calls) for calls in histories if damage(calls)]
    assert len(damaged) > len(histories) // 2
    assert [] == [calls for calls in damaged if linear(calls)]


def steps(*calls: tuple[object, ...]) -> Iterator[Call]:
    """One after the other: kind, value, expected, version, found."""
    for number, (kind, value, expected, version, found) in enumerate(calls):
        about = {"id": "i", "expected": expected, "version": version, "found": found}
        ended = FOREVER if found == "unknown" else number + 0.5
        yield Call("x", str(kind), str(value), begun=number, ended=ended, **about)  # type: ignore[arg-type]


def test_a_write_without_an_answer_may_have_happened_or_not():
    begun = [("create", "a", 0, 1, "ok"), ("update", "b", 1, 0, "unknown")]
    assert linear(steps(*begun, ("read", "a", 0, 1, "ok")))
    assert linear(steps(*begun, ("read", "b", 0, 2, "ok")))
    assert not linear(steps(*begun, ("read", "b", 0, 2, "ok"), ("read", "a", 0, 1, "ok")))


def test_versions_of_the_whole_store_go_one_way():
    history = [
        Call("x", "create", "a", "i", begun=0, ended=1, found="ok", version=7),
        Call("y", "create", "b", "j", begun=2, ended=3, found="ok", version=6),
    ]
    assert ["y: version 6 after 7 was acknowledged"] == violations(history)


def test_what_is_recorded_is_what_was_asked_and_told():
    history = History()
    call = history.begin("x", "create", value="a")
    assert [] == history.acknowledged()
    history.end(call, "ok", id="i", version=3)
    assert [call] == history.acknowledged()
    assert [] == violations(history.calls)
