"""From one data key to the next: at no moment is a value under a key that some member lacks."""

from dataclasses import dataclass, field
from random import Random

import pytest

from swarmd.store.etcd.key_record import KeyRecord, Step, next_step

SETTLED = KeyRecord(("a",), "a", exposed=False)
EXPOSED = KeyRecord(("a",), "a", exposed=True)
HANDED_OUT = KeyRecord(("a", "b"), "a", exposed=False)
RESEALING = KeyRecord(("a", "b"), "b", exposed=False)
ALL = {1: {"a", "b"}, 2: {"a", "b"}}


@pytest.mark.parametrize("record", [SETTLED, EXPOSED, HANDED_OUT, RESEALING])
def test_a_record_is_read_as_it_was_written(record: KeyRecord):
    assert record == KeyRecord.from_bytes(record.to_bytes())


@pytest.mark.parametrize(
    ("record", "locked", "expected"),
    [
        (SETTLED, True, Step.NOTHING),
        (SETTLED, False, Step.NOTE_EXPOSED),
        (EXPOSED, False, Step.NOTHING),
        (EXPOSED, True, Step.HAND_OUT),
        (HANDED_OUT, True, Step.SWITCH),
        (HANDED_OUT, False, Step.GIVE_UP),
        (RESEALING, True, Step.RESEAL),
        (RESEALING, False, Step.NOTE_EXPOSED),
    ],
)
def test_what_is_due(record: KeyRecord, locked: bool, expected: Step):
    assert expected is next_step(record, {"a", "b"}, ALL, locked=locked)


def test_a_member_without_the_new_key_is_waited_for():
    assert Step.NOTHING is next_step(HANDED_OUT, {"a", "b"}, {**ALL, 3: {"a"}}, locked=True)


def test_a_key_that_went_with_the_leader_that_made_it_is_given_up():
    assert Step.GIVE_UP is next_step(HANDED_OUT, {"a"}, ALL, locked=True)


def test_what_is_under_which_key():
    assert [{"a"}, {"a"}, {"a", "b"}] == [one.used for one in (SETTLED, HANDED_OUT, RESEALING)]


@dataclass
class Member:
    """`knows` is how much of the shared history it has seen, `holds` is on its disk."""

    number: int
    holds: list[str]
    knows: int = 0
    learns: bool = False


@dataclass
class World:
    """Managers over one history of records and values, as the protocol has them act, in any order.

    A value is the key that it is under. Each state of the store that ever was is kept: a member
    that has seen so much of it must be able to read that, and all that comes, whoever is lost.
    """

    random: Random
    members: dict[int, Member] = field(default_factory=dict)
    history: list[tuple[KeyRecord, tuple[str, ...]]] = field(default_factory=list)
    held: dict[int, set[str]] = field(default_factory=dict)
    locked: bool = False
    made: int = 0
    leader: int = 1

    def __post_init__(self) -> None:
        record = KeyRecord(("k0",), "k0", exposed=True)
        self.history.append((record, ("k0",) * 6))
        for number in (1, 2, 3):
            self.members[number] = Member(number, ["k0"])
            self.held[number] = {"k0"}

    @property
    def record(self) -> KeyRecord:
        return self.history[-1][0]

    def write(self, record: KeyRecord, values: tuple[str, ...] | None = None) -> None:
        self.history.append((record, self.history[-1][1] if values is None else values))

    def act(self) -> None:
        often = (self.lead, self.hold, self.follow)
        seldom = (self.put, self.change_leader, self.toggle, self.join, self.leave)
        self.random.choice((*often, *often, *often, *seldom))()

    def put(self) -> None:
        values = list(self.history[-1][1])
        values[self.random.randrange(len(values))] = self.record.seals
        self.write(self.record, tuple(values))

    def follow(self) -> None:
        one = self.random.choice(list(self.members.values()))
        one.knows = min(len(self.history) - 1, one.knows + self.random.randrange(4))

    def hold(self) -> None:
        """As HoldKeys does; it knows of the record that it has followed to."""
        one = self.random.choice(list(self.members.values()))
        if one.number == self.leader:
            one.knows = len(self.history) - 1
        wanted = self.history[one.knows][0].ids
        have = {*one.holds}
        if not set(wanted) <= have and (self.locked or not self.history[one.knows][0].handed_out):
            have |= {*self.members[self.leader].holds}
        if set(wanted) <= have:
            one.holds = list(wanted)
            if not one.learns:
                self.held[one.number] = {*wanted}

    def lead(self) -> None:
        one = self.members[self.leader]
        one.knows = len(self.history) - 1
        record, values = self.history[-1]
        held = {number: self.held.get(number, set()) for number in self.members}
        step = next_step(record, one.holds, held, locked=self.locked)
        if step is Step.NOTE_EXPOSED:
            self.write(record.noted_exposed())
        elif step is Step.HAND_OUT:
            self.made += 1
            self.write(record.with_next(f"k{self.made}"))
            if self.random.random() < 0.8:  # else it dies between the two
                one.holds = [record.seals, f"k{self.made}"]
        elif step is Step.GIVE_UP:
            self.write(record.given_up())
        elif step is Step.SWITCH:
            self.write(record.switched())
        elif step is Step.RESEAL:
            old = [at for at, key in enumerate(values) if key != record.seals]
            if old:
                resealed = list(values)
                resealed[old[0]] = record.seals
                self.write(record, tuple(resealed))
            else:
                self.write(record.settled())

    def change_leader(self) -> None:
        self.leader = self.random.choice(
            [one.number for one in self.members.values() if not one.learns]
        )
        self.members[self.leader].knows = len(self.history) - 1

    def toggle(self) -> None:
        if self.random.random() < 0.08:
            self.locked = not self.locked

    def join(self) -> None:
        """Given what some manager has that takes itself for the leader; or it gets its vote."""
        for one in self.members.values():
            if one.learns:
                if self.record.used <= self.held[one.number]:
                    one.learns, one.knows = False, len(self.history) - 1
                else:
                    del self.members[one.number]
                return
        if len(self.members) < 5:
            number = max(self.members) + 1
            giver = self.members[self.leader]
            self.members[number] = Member(number, list(giver.holds), len(self.history) - 1, True)
            self.held[number] = {*giver.holds}

    def leave(self) -> None:
        others = [number for number in self.members if number != self.leader]
        if len(others) > 1 and self.random.random() < 0.2:
            del self.members[self.random.choice(others)]

    def check(self) -> None:
        """Each one's etcd may be anywhere from what it has seen on: it reads all of that, alone."""
        for one in self.members.values():
            if not one.learns:
                needed = {key for _, values in self.history[one.knows :] for key in values}
                assert needed <= {*one.holds}, (one, self.record)


@pytest.mark.parametrize("seed", range(20))
def test_whoever_is_left_can_read_what_it_has(seed: int):
    world = World(Random(seed))
    for _ in range(500):
        world.act()
        world.check()


def test_in_such_a_world_keys_are_replaced():
    settled: set[str] = set()
    for seed in range(10):
        world = World(Random(seed))
        for _ in range(2_000):
            world.act()
        settled |= {f"{seed} {one.newest}" for one, _ in world.history if len(one.ids) == 1}
    assert len(settled) > 15
