"""A file of sealed parts: what goes in comes out, and nothing else ever does."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.errors import CannotBootError, CorruptStateError, PermissionDeniedError
from swarmd.security.sealed_parts import Head, Kind, PartWriter, open_parts, passphrase_bytes

KEY = bytes(range(32))
PARTS = [b"first", b"", b"third " * 1000]
HEAD_BYTES = 14 + 3 + 16 + 16


def sealed(
    parts: list[bytes] = PARTS, kind: Kind = Kind.RECOVERY_KEY, secret: bytes = KEY
) -> bytes:
    file = io.BytesIO()
    writer = PartWriter(file, kind, secret)
    for number, part in enumerate(parts, 1):
        writer.write(part, last=number == len(parts))
    assert writer.size == len(file.getvalue())
    return file.getvalue()


def opened(data: bytes, secret: bytes = KEY) -> list[bytes]:
    file = io.BytesIO(data)
    return list(open_parts(file, Head.read(file, "the file"), secret))


def split(data: bytes) -> list[bytes]:
    """The head, then each part with its length."""
    found, rest = [data[:HEAD_BYTES]], data[HEAD_BYTES:]
    while rest:
        end = 4 + int.from_bytes(rest[:4], "big")
        found.append(rest[:end])
        rest = rest[end:]
    return found


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=20))
def test_what_was_sealed_comes_out(parts: list[bytes]) -> None:
    assert parts == opened(sealed(parts))


def test_a_passphrase_opens_what_it_sealed_however_its_letters_were_spelt() -> None:
    composed, combined = "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"
    data = sealed(kind=Kind.PASSPHRASE, secret=passphrase_bytes(composed))
    assert PARTS == opened(data, passphrase_bytes(combined))
    with pytest.raises(PermissionDeniedError, match="wrong passphrase for the file"):
        opened(data, b"cafe")


def test_another_key_opens_nothing() -> None:
    with pytest.raises(PermissionDeniedError, match="wrong recovery key for the file"):
        opened(sealed(), bytes(32))


def test_nothing_is_read_of_what_was_sealed() -> None:
    assert b"first" not in sealed()
    assert b"third" not in sealed()


def test_two_files_of_the_same_have_nothing_in_common() -> None:
    for one, other in zip(split(sealed())[1:], split(sealed())[1:], strict=True):
        assert one[4:] != other[4:]


@given(st.data())
def test_one_changed_bit_anywhere_is_found(data: st.DataObject) -> None:
    changed = bytearray(sealed())
    place = data.draw(st.integers(0, len(changed) * 8 - 1))
    changed[place // 8] ^= 1 << place % 8
    with pytest.raises((CorruptStateError, CannotBootError, PermissionDeniedError)) as raised:
        opened(bytes(changed))
    assert "the file" in str(raised.value)


@given(st.data())
def test_a_file_that_is_cut_short_anywhere_is_found(data: st.DataObject) -> None:
    whole = sealed()
    length = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(CorruptStateError):
        opened(whole[:length])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_file_that_is_cut_between_two_parts_is_said_to_be_cut_short(count: int) -> None:
    with pytest.raises(CorruptStateError, match=r"the file is damaged \(it is cut short\)"):
        opened(b"".join(split(sealed())[: 1 + count]))


@given(st.permutations(range(3)), st.sets(st.integers(0, 2)))
def test_parts_in_another_order_or_left_out_are_found(order: list[int], without: set[int]) -> None:
    head, *parts = split(sealed())
    kept = [parts[number] for number in order if number not in without]
    if kept != parts:
        with pytest.raises(CorruptStateError):
            opened(head + b"".join(kept))


def test_more_behind_the_last_part_is_found() -> None:
    _, *other = split(sealed())
    for more in (b"x", b"more than that", other[0], other[2]):
        with pytest.raises(CorruptStateError):
            opened(sealed() + more)


def test_a_part_of_another_file_under_the_same_key_is_found() -> None:
    head, _, *rest = split(sealed())
    stranger = split(sealed([b"other", b"", b""]))[1]
    with pytest.raises(CorruptStateError, match="part 1 was changed"):
        opened(head + stranger + b"".join(rest))


def test_a_later_form_is_told_from_damage() -> None:
    data = bytearray(sealed())
    data[14] = 2
    with pytest.raises(CannotBootError, match="written by a newer swarmd"):
        opened(bytes(data))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"swarmd backu", b"\0" * 100])
def test_what_is_no_backup_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(CorruptStateError, match="the file is not a backup of swarmd"):
        opened(data)


def test_a_head_cannot_ask_for_endless_work() -> None:
    data = bytearray(sealed(kind=Kind.PASSPHRASE, secret=b"x"))
    data[16] = 40
    with pytest.raises(CorruptStateError, match="its head is not sound"):
        opened(bytes(data), b"x")
