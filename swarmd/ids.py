"""New object ids: SwarmKit's, 25 characters of base 36 made from 17 random bytes."""

from random import Random
from typing import Final

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
LENGTH: Final = 25
_RANDOM_BYTES: Final = 17
_HIGH_BIT: Final = 0x80  # keeps every id at full length


def new_id(random: Random) -> str:
    """A fresh id; `random` is `random.SystemRandom()` outside tests and simulations."""
    raw = bytearray(random.randbytes(_RANDOM_BYTES))
    raw[0] |= _HIGH_BIT
    return base36(bytes(raw))[1 : LENGTH + 1]  # the first digit is far from evenly spread


def base36(raw: bytes) -> str:
    """The bytes as one big-endian number in lower-case base 36, without leading zeros."""
    number = int.from_bytes(raw, "big")
    digits = []
    while number:
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits)) or "0"
