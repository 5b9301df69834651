"""What either source gives, and what is to be said of it."""

from dataclasses import dataclass, field
from typing import NamedTuple

from swarmd import api
from swarmd.security.certificates import NodeCertificates


class Remark(NamedTuple):
    """Something that does not come over as it was: what, and a clause that says how so."""

    about: str
    what: str

    def __str__(self) -> str:
        return f"{self.about}: {self.what}"


@dataclass(slots=True, kw_only=True)
class Found:
    """A cluster as its managers had it."""

    place: str
    """Where it was read, for people."""
    store: api.StoreSnapshot
    certificates: NodeCertificates
    """Of the manager that goes on with it; its node is in the store."""
    unlock_key: bytes = b""
    kek_version: str = "0"
    """What the manager's key file was sealed with, and as of which version of the cluster."""
    advertised: str = ""
    """Where its workers look for this manager; empty where that is not known."""
    remarks: list[Remark] = field(default_factory=list)
