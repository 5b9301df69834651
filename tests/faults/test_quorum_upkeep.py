"""What three managers do for the store in etcd: there is room, and the key to it is a secret."""

import contextlib
import itertools
import json
import os
import re
import signal
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import grpc
import pytest

from swarmd import api
from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.api.protos import etcd_pb2_grpc
from swarmd.security import data_key, unlock_key
from swarmd.security.encryption import key_id
from swarmd.state_dir import StateDir
from swarmd.store.etcd import keys
from swarmd.store.etcd.key_record import KeyRecord
from tests.cluster import RealNode, wait
from tests.quorum import Managers, formed, host_pids, signal_all, why_not

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

_QUOTA = 32 << 20
_BIG = 480_000  # bytes; a config may have 500
_REFUSED = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE}
_REWRITTEN = re.compile(r"^(\S+) .*wrote etcd's file anew.* seconds=(\S+)", re.MULTILINE)


@pytest.fixture(scope="module")
def managers() -> Iterator[Managers]:
    if why_not():
        pytest.skip(why_not())
    with formed(3, lambda _: RealNode(f"--quota-backend-bytes={_QUOTA}")) as managers:
        managers.service = managers.nodes[0].create_service("sleep", "10000", replicas=3)
        managers.nodes[0].wait_running(managers.service, 3)
        yield managers


def test_what_grows_is_refused_in_time_and_taken_again_once_some_is_removed(managers: Managers):
    leader = managers.leader
    made: list[str] = []
    with leader.control() as control:
        said = next(refusal for _ in range(200) if (refusal := write(control, made)))
        assert "the store is nearly full" in said
        assert "--quota-backend-bytes" in said
        assert 0.7 * _QUOTA < len(made) * _BIG < 0.95 * _QUOTA
        wait(lambda: "nearly full" in quorum_facts(leader)["etcd alarms"], "that status says so")
        tasks_go_on(managers)
        assert_kept(managers.followers[0], made)
        for _ in range(12):
            remove(control, made.pop())
        wait(lambda: not write(control, made), "that a config is taken again")
        wait(lambda: not quorum_facts(leader)["etcd alarms"], "that status is content")
        assert_kept(managers.followers[0], made)
        for one in made:
            remove(control, one)


def test_files_full_of_air_are_written_anew_one_after_the_other(managers: Managers):
    """What the test before removed."""
    wait(lambda: all(_REWRITTEN.search(node.log) for node in managers.nodes), "all of them")
    spans = sorted(span for node in managers.nodes for span in rewritten(node))
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_a_quota_that_others_used_up_is_mended(managers: Managers):
    leader = managers.leader
    before = managers.nodes[0].running(managers.service)
    with ballast(leader) as refusal:
        assert "database space exceeded" in refusal
    with leader.control() as control:
        wait(lambda: not write(control, []), "that a config is taken")
    wait(lambda: not any(alarms(node) for node in managers.nodes), "that all are content")
    assert before == managers.nodes[0].running(managers.service)


def test_locking_brings_another_data_key_once_every_manager_has_it(managers: Managers):
    away = managers.followers[0]
    others = managers.others(away)
    first = record(others[0])
    assert first.exposed
    signal_all(host_pids(away), signal.SIGKILL)
    with managers.load(at=others) as load:
        key = lock(others[0])
        wait(lambda: record(others[0]).handed_out, "a key that waits for who is away")
        load.wait_written(10)
        assert {first.newest} == under(others[0])
        away.run()
        wait(lambda: len(record(others[0]).ids) == 1, "the end of the old key", 120)
        load.wait_written(10)
    load.check()
    found = record(others[0])
    assert found.newest != first.newest
    assert {found.newest} == under(others[0])
    wait(lambda: all(held_by(node, key) == found.ids for node in managers.nodes), "the only one")


def write(control: Any, made: list[str]) -> str:
    """One more big config; the sentence where it is refused, or a leader is awaited."""
    annotations = api.Annotations(name=f"big-{os.urandom(8).hex()}")
    spec = api.ConfigSpec(annotations=annotations, data=os.urandom(_BIG))
    try:
        reply = control.CreateConfig(api.CreateConfigRequest(spec=spec), timeout=30)
    except grpc.RpcError as refusal:
        assert refusal.code() in _REFUSED, refusal  # type: ignore[attr-defined]  # noqa: PT017
        return str(refusal.details())  # type: ignore[attr-defined]
    made.append(reply.config.id)
    return ""


def remove(control: Any, config_id: str) -> None:
    control.RemoveConfig(api.RemoveConfigRequest(config_id=config_id), timeout=30)


def assert_kept(node: RealNode, made: list[str]) -> None:
    with node.control() as control:
        for one in made:
            found = control.GetConfig(api.GetConfigRequest(config_id=one), timeout=30).config
            assert _BIG == len(found.spec.data)


def tasks_go_on(managers: Managers) -> None:
    """One that fails is replaced; a service gets smaller, and is removed."""
    node = managers.nodes[0]
    task, pid = next(iter(node.wait_running(managers.service, 3).items()))
    os.kill(pid, signal.SIGKILL)
    wait(lambda: task not in node.running(managers.service), "its end")
    node.wait_running(managers.service, 3)


def quorum_facts(node: RealNode) -> dict[str, str]:
    found: dict[str, str] = json.loads(node.swarmd("status", "--json").stdout)["quorum"]
    return found


def rewritten(node: RealNode) -> list[tuple[float, float]]:
    """When it began and when it ended, each time."""
    ends = [(datetime.fromisoformat(at).timestamp(), float(s)) for at, s in found_in(node)]
    return [(end - seconds, end) for end, seconds in ends]


def found_in(node: RealNode) -> list[tuple[str, str]]:
    return _REWRITTEN.findall(node.log)


@contextlib.contextmanager
def ballast(node: RealNode) -> Iterator[str]:
    """Keys beside swarmd's, until etcd takes no more, as it says; at the end they are gone."""
    with grpc.insecure_channel(f"unix:{node.state_dir}/etcd/client:0") as channel:
        stub = etcd_pb2_grpc.KVStub(channel)
        yield next(said for number in range(100) if (said := _put_ballast(stub, number)))
        remove_all = channel.unary_unary(
            "/etcdserverpb.KV/DeleteRange",
            request_serializer=etcd.DeleteRangeRequest.SerializeToString,
        )
        remove_all(etcd.DeleteRangeRequest(key=b"ballast", range_end=b"ballasu"), timeout=30)


def _put_ballast(stub: etcd_pb2_grpc.KVStub, number: int) -> str:
    """What etcd says where it has no room for it; at other times it may just have no leader."""
    put = etcd.PutRequest(key=b"ballast%d" % number, value=bytes(6 << 20))
    try:
        stub.Txn(etcd.TxnRequest(success=[etcd.RequestOp(request_put=put)]), timeout=30)
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:  # type: ignore[attr-defined]
            return str(error.details())  # type: ignore[attr-defined]
    return ""


def alarms(node: RealNode) -> list[str]:
    with grpc.insecure_channel(f"unix:{node.state_dir}/etcd/client:0") as channel:
        stub = etcd_pb2_grpc.MaintenanceStub(channel)
        return list(stub.Status(etcd.StatusRequest(), timeout=5).errors)


def lock(node: RealNode) -> str:
    shown = node.ctl("cluster", "update", "default", "--autolock")
    assert 0 == shown.returncode, shown.stderr
    found = re.search(r"SWMKEY-1-\S+", shown.stdout)
    assert found is not None, shown.stdout
    return found[0]


def record(node: RealNode) -> KeyRecord:
    return KeyRecord.from_bytes(in_etcd(node, keys.DATA_KEYS, b"")[0].value)


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
