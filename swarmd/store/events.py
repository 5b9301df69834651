"""What watchers hear. The events of one transaction come together, then its Committed."""

from dataclasses import dataclass
from typing import Any, Final, Generic

from swarmd.store.tables import M


@dataclass(frozen=True, slots=True)
class Created(Generic[M]):
    object: M


@dataclass(frozen=True, slots=True)
class Updated(Generic[M]):
    """`old` is the object as it was before, `why` what the maker of the change said of it.

    The reason is for those who watch as it happens: it is not kept.
    """

    object: M
    old: M
    why: str = ""


@dataclass(frozen=True, slots=True)
class Deleted(Generic[M]):
    """`object` is the object as it was last."""

    object: M


@dataclass(frozen=True, slots=True)
class Committed:
    """The events before this one are all that the transaction of this version has for you."""

    version: int


Change = Created[M] | Updated[M] | Deleted[M]
AnyChange = Created[Any] | Updated[Any] | Deleted[Any]
Event = Created[Any] | Updated[Any] | Deleted[Any] | Committed
CHANGES: Final[frozenset[type]] = frozenset({Created, Updated, Deleted})
