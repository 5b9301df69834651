"""Three managers are locked: what they keep comes under a data key that was never in the clear."""

import re
import signal

import grpc
import pytest

from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.api.protos import etcd_pb2_grpc
from swarmd.security import data_key, unlock_key
from swarmd.security.encryption import key_id
from swarmd.state_dir import StateDir
from swarmd.store.etcd import keys
from swarmd.store.etcd.key_record import KeyRecord
from tests.cluster import RealNode, wait
from tests.integration.test_autolock import unlock
from tests.quorum import Managers, formed, host_pids, signal_all, why_not

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or ""),
    pytest.mark.timeout(300),
]


def test_locking_brings_another_data_key_once_every_manager_has_it():
    with formed(3) as managers:
        away = managers.followers[0]
        others = managers.others(away)
        wait(lambda: record(others[0]) is not None, "the first record")
        first = record(others[0])
        assert first is not None
        assert first.exposed
        signal_all(host_pids(away), signal.SIGKILL)
        with managers.load(at=others) as load:
            key = lock(others[0])
            wait(lambda: handed_out(others[0]), "a key that waits for who is away")
            load.wait_written(10)
            assert {first.newest} == under(others[0])
            away.run()
            wait(lambda: settled(others[0], first.newest), "another key", 120)
            load.wait_written(10)
        load.check()
        all_is_under_one_key_and_each_has_it(managers, key)
        signal_all([pid for node in managers.nodes for pid in host_pids(node)], signal.SIGKILL)
        for node in managers.nodes:
            node.spawn()
        wait(lambda: all_ready_or_unlocked(managers, key), "all of them", 120)
        managers.wait_whole()


def all_is_under_one_key_and_each_has_it(managers: Managers, key: str) -> None:
    found = record(managers.nodes[0])
    assert found is not None
    assert {found.newest} == under(managers.nodes[0])
    wait(lambda: all(held_by(node, key) == found.ids for node in managers.nodes), "the only one")


def lock(node: RealNode) -> str:
    shown = node.ctl("cluster", "update", "default", "--autolock")
    assert 0 == shown.returncode, shown.stderr
    found = re.search(r"SWMKEY-1-\S+", shown.stdout)
    assert found is not None, shown.stdout
    return found[0]


def all_ready_or_unlocked(managers: Managers, key: str) -> bool:
    for node in managers.nodes:
        if node.report.get("phase") == "locked":
            unlock(node, key)
    return all(node.is_ready() for node in managers.nodes)


def record(node: RealNode) -> KeyRecord | None:
    kvs = in_etcd(node, keys.DATA_KEYS, b"")
    return KeyRecord.from_bytes(kvs[0].value) if kvs else None


def handed_out(node: RealNode) -> bool:
    found = record(node)
    return found is not None and found.handed_out


def settled(node: RealNode, old: str) -> bool:
    found = record(node)
    return found is not None and len(found.ids) == 1 and found.newest != old


def under(node: RealNode) -> set[str]:
    """The ids of the keys that objects in etcd are under."""
    found = in_etcd(node, keys.OBJECTS, keys.after(keys.OBJECTS))
    return {keys.unpacked(one.value)[1][1:5].hex() for one in found}


def held_by(node: RealNode, key: str) -> tuple[str, ...]:
    path = StateDir(node.state_dir).node_key
    unlock_key.remember(path, unlock_key.parse(key))
    found = data_key.read_data_keys(path)
    return tuple(map(key_id, found.all)) if found else ()


def in_etcd(node: RealNode, start: bytes, end: bytes) -> list[etcd.KeyValue]:
    with grpc.insecure_channel(f"unix:{node.state_dir}/etcd/client:0") as channel:
        request = etcd.RangeRequest(key=start, range_end=end)
        return list(etcd_pb2_grpc.KVStub(channel).Range(request, timeout=10).kvs)
