"""Bytes at rest: what is sealed opens with its key, in its place, and nowhere else."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.security.encryption import NotOpenedError, Sealer

HOME = Path("swarm-node.key")
KEY = bytes(range(32))


@given(data=st.binary(max_size=2_000), bound=st.binary(max_size=60))
def test_what_is_sealed_opens_again(data: bytes, bound: bytes):
    sealer = Sealer(KEY, HOME)
    assert data == sealer.open(sealer.seal(data, bound), bound)


@given(data=st.binary(max_size=200), where=st.integers(0), bit=st.integers(0, 7))
def test_any_changed_bit_is_found(data: bytes, where: int, bit: int):
    sealer = Sealer(KEY, HOME)
    record = bytearray(sealer.seal(data, b"task/a/1"))
    record[where % len(record)] ^= 1 << bit
    with pytest.raises(NotOpenedError):
        sealer.open(bytes(record), b"task/a/1")


@given(bound=st.binary(max_size=20), other=st.binary(max_size=20))
def test_a_record_opens_only_in_its_place(bound: bytes, other: bytes):
    sealer = Sealer(KEY, HOME)
    record = sealer.seal(b"x", bound)
    if bound != other:
        with pytest.raises(NotOpenedError, match="moved from its place"):
            sealer.open(record, other)


@given(record=st.binary(max_size=100))
def test_garbage_does_not_open(record: bytes):
    with pytest.raises(NotOpenedError):
        Sealer(KEY, HOME).open(record, b"")


def test_the_same_is_sealed_differently_each_time():
    sealer = Sealer(KEY, HOME)
    assert sealer.seal(b"x", b"") != sealer.seal(b"x", b"")


def test_another_key_is_told_from_damage():
    record = Sealer(KEY, HOME).seal(b"x", b"")
    with pytest.raises(NotOpenedError, match="another data key") as caught:
        Sealer(bytes(32), HOME).open(record, b"")
    assert caught.value.wrong_key


def test_an_older_key_opens_but_seals_no_more():
    old, new = Sealer(KEY, HOME), Sealer(bytes(32), HOME, [KEY])
    record = old.seal(b"x", b"")
    assert b"x" == new.open(record, b"")
    assert [False, True] == [new.is_current(record), new.is_current(new.seal(b"x", b""))]


def test_the_form_at_rest_stays_what_it_is():
    record = bytes.fromhex(
        "015ebf0b6b6c076b33d6f88536991ba3f81c92458bcfc66af71da9838e404ed844cd27c696385bdf94"
    )
    assert b"a secret" == Sealer(KEY, HOME).open(record, b"secret/s1/7")
