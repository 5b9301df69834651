"""Which data keys the managers' values lie under, and how far they are from one to the next (pure).

    settled [K1]  ─the leader makes K2─▶  handed out [K1, K2]  ─every member holds K2─▶
    resealing [K1, K2]  ─nothing is under K1 any more─▶  settled [K2]

Handed out: nothing is under K2 yet, and it may be given up for another one. Resealing: what is
written is under K2, and the leader seals the rest anew. Each manager holds the keys that the record
names, and drops another one when the store that it follows has come to a record without it. So no
value is ever under a key that some member does not hold, whoever is lost and at whatever moment.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import Self


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """Ids of keys, the oldest first; what is written is under `seals`, which is one of them.

    `exposed`: the newest of them lay on a disk in the clear, or may have.
    """

    ids: tuple[str, ...]
    seals: str
    exposed: bool

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        found = json.loads(data)
        return cls(tuple(found["ids"]), found["seals"], found["exposed"])

    @property
    def newest(self) -> str:
        return self.ids[-1]

    @property
    def handed_out(self) -> bool:
        return self.seals != self.newest

    @property
    def resealing(self) -> bool:
        return len(self.ids) > 1 and not self.handed_out

    @property
    def used(self) -> frozenset[str]:
        """The keys that values may be under."""
        return frozenset((self.seals,) if self.handed_out else self.ids)

    def with_next(self, key_id: str) -> Self:
        """That one is handed out."""
        return replace(self, ids=(self.seals, key_id), exposed=False)

    def given_up(self) -> Self:
        """What was handed out is not to be used."""
        return replace(self, ids=(self.seals,), exposed=True)

    def noted_exposed(self) -> Self:
        return replace(self, exposed=True)

    def switched(self) -> Self:
        return replace(self, seals=self.newest)

    def settled(self) -> Self:
        return replace(self, ids=(self.newest,))


class Step(Enum):
    NOTHING = "nothing"
    NOTE_EXPOSED = "the newest key is in the clear"
    HAND_OUT = "make a key"
    GIVE_UP = "give up the key that was handed out"
    SWITCH = "seal under the new key"
    RESEAL = "seal the rest anew"


def next_step(
    record: KeyRecord, own: Collection[str], held: Mapping[int, Collection[str]], *, locked: bool
) -> Step:
    """The leader's.

    `own`: the keys in its file. `held`: for each member, by etcd's number, those that it is known
    to hold. `locked`: the managers' key files are sealed, as the cluster has it.
    """
    if record.handed_out:
        if not locked or record.newest not in own:  # the leader that made it may be gone with it
            return Step.GIVE_UP
        everywhere = all(record.newest in ids for ids in held.values())
        return Step.SWITCH if everywhere else Step.NOTHING
    if not locked and not record.exposed:
        return Step.NOTE_EXPOSED
    if record.resealing:
        return Step.RESEAL
    return Step.HAND_OUT if locked and record.exposed else Step.NOTHING
