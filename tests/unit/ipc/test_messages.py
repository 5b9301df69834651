import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.ipc import messages
from swarmd.ipc.messages import (
    Alive,
    BadMessageError,
    CertificateRenewed,
    Configure,
    Failed,
    Locked,
    LogLevel,
    Managers,
    NodeChanged,
    Ready,
    Status,
    Stopping,
    UnlockKey,
)

UP = st.one_of(
    st.builds(Alive),
    st.builds(Ready),
    st.builds(NodeChanged, st.text(), st.text(), st.sampled_from(["manager", "worker"]), st.text()),
    st.builds(CertificateRenewed),
    st.builds(Locked, st.text()),
    st.builds(UnlockKey, st.text()),
    st.builds(Status, st.dictionaries(st.text(), st.text())),
    st.builds(Stopping),
    st.builds(Failed, st.text(), st.booleans()),
)
DOWN = st.one_of(
    st.builds(Configure, st.text()),
    st.builds(UnlockKey, st.text()),
    st.builds(Managers, st.lists(st.text()).map(tuple)),
    st.builds(LogLevel, st.text()),
    st.builds(CertificateRenewed),
)


@given(UP)
def test_what_a_worker_says_arrives(message):
    assert message == messages.decode_up(messages.encode(message))


@given(DOWN)
def test_what_the_parent_says_arrives(message):
    assert message == messages.decode_down(messages.encode(message))


@given(st.one_of(UP, DOWN))
def test_a_message_is_one_line(message):
    line = messages.encode(message)
    assert [line] == line.splitlines(keepends=True)


@given(st.binary())
def test_any_bytes_are_a_message_or_refused(line):
    with contextlib.suppress(BadMessageError):
        messages.decode_up(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"[]",
        b'"Ready"',
        b"{}",
        b'{"kind": "Sing"}',
        b'{"kind": ["Ready"]}',
        b'{"kind": "Configure", "config_json": "{}"}',
        b'{"kind": "Status", "facts": {"a": 1}}',
        b'{"kind": "Status", "facts": ["a"]}',
        b'{"kind": "Failed", "reason": 3}',
        b'{"kind": "Failed", "reason": "why", "cannot_boot": "yes"}',
        b'{"kind": "NodeChanged", "node_id": "n", "cluster_id": "c"}',
        b'{"kind": "NodeChanged", "node_id": "n", "cluster_id": "c", "role": "king"}',
        b'{"kind": "Ready"',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_refused(line):
    with pytest.raises(BadMessageError, match="not a message"):
        messages.decode_up(line)


def test_addresses_must_be_texts():
    with pytest.raises(BadMessageError):
        messages.decode_down(b'{"kind": "Managers", "addrs": [1]}')


def test_a_field_of_a_later_version_is_passed_over():
    line = json.dumps({"kind": "Failed", "reason": "why", "cannot_boot": True, "mood": "bad"})
    assert Failed("why", cannot_boot=True) == messages.decode_up(line.encode())


def test_a_field_with_a_default_may_lack():
    assert Failed("why") == messages.decode_up(b'{"kind": "Failed", "reason": "why"}')
