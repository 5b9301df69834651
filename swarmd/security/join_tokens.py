"""Join tokens: mint, parse and check.

    SWMTKN-1-<SHA-256 of the root CA, base 36, 50 digits>-<16 random bytes, base 36, 25 digits>

Version 2 has a 0 or 1 before the digest: whether the cluster demands FIPS mode.
"""

import hmac
import re
from dataclasses import dataclass
from random import Random
from typing import Final

from swarmd.errors import InvalidArgumentError
from swarmd.ids import base36

_SECRET_BYTES: Final = 16
_SECRET_DIGITS: Final = 25
_DIGEST_DIGITS: Final = 50
_DIGEST_BITS: Final = 256
_FORM: Final = re.compile(r"SWMTKN-(?:1|2-([01]))-([0-9a-z]{50})-([0-9a-z]{25})")


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What a token says: whose cluster, and the secret that opens it."""

    root_digest: str
    secret: str
    fips: bool


def mint(root_digest: str, random: Random) -> str:
    """A token with a fresh secret for the cluster whose root has that digest (sha256:…)."""
    root = base36(bytes.fromhex(root_digest.removeprefix("sha256:")))
    secret = base36(random.randbytes(_SECRET_BYTES))
    return f"SWMTKN-1-{root.zfill(_DIGEST_DIGITS)}-{secret.zfill(_SECRET_DIGITS)}"


def parse(token: str) -> JoinToken:
    """Raises InvalidArgumentError, without repeating the secret."""
    found = _FORM.fullmatch(token)
    number = int(found[2], 36) if found else 0
    if found is None or number.bit_length() > _DIGEST_BITS:
        raise InvalidArgumentError("invalid join token")
    return JoinToken(f"sha256:{number:064x}", found[3], fips=found[1] == "1")


def same(token: str, expected: str) -> bool:
    """Compared in constant time; an empty expectation is met by nothing."""
    return bool(expected) and hmac.compare_digest(token.encode(), expected.encode())
