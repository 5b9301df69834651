"""How the store lies in etcd's flat space of keys."""

from typing import Final

LEADER: Final = b"leader"
STORE: Final = b"store/"
VERSION: Final = STORE + b"version"
DATA_KEYS: Final = STORE + b"data-keys"
RESEALED: Final = STORE + b"resealed"
HELD: Final = b"held/"
OBJECTS: Final = STORE + b"objects/"
_VERSION_BYTES: Final = 8


def object_key(kind: str, object_id: str) -> bytes:
    return OBJECTS + f"{kind}/{object_id}".encode()


def named(key: bytes) -> tuple[str, str]:
    """The kind and the id of an object's key."""
    kind, _, object_id = key.removeprefix(OBJECTS).decode().partition("/")
    return kind, object_id


def after(prefix: bytes) -> bytes:
    """The end of the range of all keys with that prefix, as etcd has it."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def held_key(member: int) -> bytes:
    return HELD + b"%x" % member


def packed(version: int, data: bytes) -> bytes:
    """A row's value: the version is outside of what is sealed, which is bound to it."""
    return version.to_bytes(_VERSION_BYTES, "big") + data


def unpacked(value: bytes) -> tuple[int, bytes]:
    return int.from_bytes(value[:_VERSION_BYTES], "big"), value[_VERSION_BYTES:]
