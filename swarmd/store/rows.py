"""Rows at rest to objects in tables, and back."""

from collections.abc import Mapping
from typing import Any

from google.protobuf.message import DecodeError

from swarmd.store.backend import Change, Loaded, Row, corrupt
from swarmd.store.events import AnyChange, Created, Deleted, Updated
from swarmd.store.tables import KIND_BY_NAME, Table

Tables = Mapping[str, Table[Any]]


def object_of(row: Row, place: str) -> Any:
    """The object that it keeps; raises CorruptStateError, naming the place."""
    try:
        one = KIND_BY_NAME[row.kind].message.FromString(row.data)
    except (DecodeError, KeyError) as error:
        raise corrupt(place, f"{row.kind} {row.id} cannot be read") from error
    if one.id != row.id:
        raise corrupt(place, f"{row.kind} {row.id} does not belong there")
    return one


def take_row(tables: Tables, row: Row, place: str) -> AnyChange | None:
    """Have it in its table; what that changed, None where that is nothing."""
    table = tables[row.kind]
    old = table.objects.get(row.id)
    if row.data is not None:
        one = object_of(row, place)
        table.put(one)
        return Created(one) if old is None else Updated(one, old)
    if old is None:
        return None  # made and deleted in one commit of its leader
    table.remove(row.id)
    return Deleted(old)


def difference(tables: Tables, loaded: Loaded) -> Change:
    """What it takes to have exactly what was loaded."""
    there = {(row.kind, row.id) for row in loaded.rows}
    gone = [
        Row(kind, object_id, loaded.version, None)
        for kind, table in tables.items()
        for object_id in table.objects
        if (kind, object_id) not in there
    ]
    return Change(loaded.version, [row for row in loaded.rows if _is_news(tables, row)] + gone)


def everything(tables: Tables, version: int) -> Loaded:
    """What the tables hold, as it would be loaded."""
    rows = [
        Row(kind, one.id, one.meta.version.index, one.SerializeToString())
        for kind, table in tables.items()
        for one in table.objects.values()
    ]
    return Loaded(version, rows)


def _is_news(tables: Tables, row: Row) -> bool:
    old = tables[row.kind].objects.get(row.id)
    return old is None or old.meta.version.index != row.version
