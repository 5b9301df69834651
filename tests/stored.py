"""Objects of any kind put into a store and changed there, by what they are."""

from collections.abc import Callable
from typing import Any

from swarmd import api
from swarmd.store import Store
from swarmd.store.tables import KINDS


def table(tx: Any, one: Any) -> Any:
    """The transaction's table of the object's kind."""
    return getattr(tx, type(one).DESCRIPTOR.name.lower() + "s")


async def add(store: Store, *objects: Any) -> None:
    """Create them all at once."""

    def change(tx: Any) -> None:
        for one in objects:
            table(tx, one).create(one)

    await store.update(change)


async def edit(store: Store, one: Any, how: Callable[[Any], object]) -> Any:
    """Change it as it is in the store now; what became of it."""

    def change(tx: Any) -> Any:
        own = table(tx, one).copy(one.id)
        how(own)
        return table(tx, one).update(own)

    return await store.update(change)


def whole(store: Store) -> api.StoreSnapshot:
    """Every object in it, to be compared with another time's."""
    found = api.StoreSnapshot()
    for kind in KINDS:
        getattr(found, kind.table).extend(getattr(store.view(), kind.table).find())
    return found
