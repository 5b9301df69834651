"""What secrets and configs have in common: a name, some data, and that both stay (pure)."""

from swarmd import api
from swarmd.errors import InvalidArgumentError

Spec = api.SecretSpec | api.ConfigSpec


def check_size(kind: str, data: bytes, too_many: int) -> None:
    """There is some, and it fits into a task's assignment."""
    if not 0 < len(data) < too_many:
        raise InvalidArgumentError(
            f"{kind} data must be larger than 0 and less than {too_many} bytes"
        )


def relabel(old: Spec, new: Spec) -> None:
    """Take over the labels; raises InvalidArgumentError where more would change.

    Tasks that run already have the data; under the same name it must stay the same. It may be left
    out, since a secret's is never shown.
    """
    renamed = old.annotations.name != new.annotations.name
    if renamed or (new.data and new.data != old.data):
        raise InvalidArgumentError("only updates to Labels are allowed")
    old.annotations.labels.clear()
    old.annotations.labels.update(new.annotations.labels)
