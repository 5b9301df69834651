"""What an object says, aside from what is observed of it and from when that was written."""

from typing import TypeVar

from swarmd import api

_Observed = TypeVar("_Observed", api.Task, api.Node)


def is_same(one: _Observed, other: _Observed) -> bool:
    """Whether they say the same: status and version aside."""
    return _said(one) == _said(other)


def _said(whole: _Observed) -> _Observed:
    said = type(whole)()
    said.CopyFrom(whole)
    said.ClearField("status")
    said.ClearField("meta")
    return said
