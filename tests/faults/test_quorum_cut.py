"""Three managers and a worker on hosts of their own, between which the network fails."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from swarmd import api
from swarmd.api.protos import etcd_pb2 as etcd
from swarmd.api.protos import etcd_pb2_grpc
from tests.cluster import RealNode, wait
from tests.networks import Host, Lan, NetNode, lan
from tests.quorum import Managers, formed, node_id, stopped, why_not

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

_CUT_SECONDS = 4.0  # much longer than the leader's lease
_ENTRIES = 12_000  # more than etcd keeps for who was away; from there on it sends everything


class Cut(Managers):
    """`lan` is what they are connected by; `worker` runs tasks too, and is no manager."""

    lan: Lan
    worker: NetNode


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cut]:
    if why_not():
        pytest.skip(why_not())
    with lan() as net, formed(3, lambda _: on(net.host())) as managers:
        cluster = Cut(managers.nodes)
        with NetNode(net.host()) as worker:
            first = managers.nodes[0]
            assert isinstance(first, NetNode)
            worker.join(first.address, first.worker_token)
            cluster.lan, cluster.worker = net, worker
            first.beat_every(10)  # no node is given up, and its tasks with it, on a busy machine
            cluster.service = first.create_service("sleep", "10000", replicas=8)
            first.wait_running(cluster.service, 8)
            yield cluster


@pytest.fixture
def managers(cluster: Cut) -> Iterator[Cut]:
    """The whole cluster; what runs before the test runs after it, the same processes."""
    cluster.wait_whole()
    before = cluster.nodes[0].wait_running(cluster.service, 8)
    yield cluster
    cluster.wait_whole()
    wait(lambda: cluster.nodes[0].running(cluster.service) == before, "the very same tasks")


def on(host: Host) -> NetNode:
    """Without a default route it has to be told where it is found."""
    return NetNode(host, f"--advertise-remote-api={host.address}")


def host_of(node: RealNode) -> NetNode:
    assert isinstance(node, NetNode)
    return node


@contextlib.contextmanager
def deaf(node: RealNode, *to: RealNode) -> Iterator[None]:
    """Packets of those do not arrive at this one; what it says arrives at them."""
    rules = [("INPUT", "-s", host_of(one).host.address, "-j", "DROP") for one in to]
    _filter(node, "-A", rules)
    try:
        yield
    finally:
        _filter(node, "-D", rules)


def _filter(node: RealNode, what: str, rules: list[tuple[str, ...]]) -> None:

    for rule in rules:
        command = host_of(node).host.enter("iptables", what, *rule)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no packet filter here: {done.stderr.strip()}")


def test_a_leader_that_is_cut_off_leads_no_more(managers: Cut) -> None:
    leader = managers.leader
    others = managers.others(leader)
    with managers.load(clients=6) as load:
        with managers.lan.cut(host_of(leader).host):
            wait(lambda: managers.leader_at(others) not in {"", node_id(leader)}, "another leader")
            wait(lambda: "leads no more" in leader.log, "that the old one knows")
            time.sleep(_CUT_SECONDS)
            load.wait_written(10)
        load.wait_written(30)
    load.check()


def test_a_follower_that_is_cut_off_comes_back(managers: Cut) -> None:
    leader, follower = managers.leader, managers.followers[0]
    with managers.load() as load:
        with managers.lan.cut(host_of(follower).host):
            time.sleep(_CUT_SECONDS)
            load.wait_written(10)
            assert node_id(leader) == managers.leader_at([leader])
        load.wait_written(30)
    load.check()


def test_a_leader_that_does_not_hear_the_others_leads_no_more(managers: Cut) -> None:
    leader = managers.leader
    others = managers.others(leader)
    with managers.load(at=others) as load:
        with deaf(leader, *others):
            wait(lambda: managers.leader_at(others) not in {"", node_id(leader)}, "another leader")
            load.wait_written(10)
        load.wait_written(30)
    load.check()


def test_a_leader_that_the_others_do_not_hear_leads_no_more(managers: Cut) -> None:
    leader = managers.leader
    others = managers.others(leader)
    with managers.load(at=others) as load:
        with contextlib.ExitStack() as stack:
            for other in others:
                stack.enter_context(deaf(other, leader))
            wait(lambda: managers.leader_at(others) not in {"", node_id(leader)}, "another leader")
            load.wait_written(10)
        load.wait_written(30)
    load.check()


def test_two_managers_that_do_not_hear_each_other_do_no_harm(managers: Cut) -> None:
    one, other = managers.followers
    with managers.load() as load:
        with deaf(one, other), deaf(other, one):
            time.sleep(_CUT_SECONDS)
            load.wait_written(10)
        load.wait_written(30)
    load.check()


def test_a_worker_that_is_cut_off_from_the_leader_goes_by_another_manager(managers: Cut) -> None:
    leader, worker = managers.leader, managers.worker
    other = host_of(managers.others(leader)[0])
    with deaf(leader, worker), deaf(worker, leader):
        service = other.create_service("sleep", "1000", replicas=4)
        other.wait_running(service, 4)
        wait(lambda: len(other.placed(service).get(worker.id, ())) == 1, "its share of the tasks")
        other.remove_service(service)


def test_a_follower_that_missed_more_than_is_kept_reads_everything_again(managers: Cut) -> None:
    leader, follower = managers.leader, managers.followers[0]
    with managers.load(at=managers.others(follower)) as load:
        with managers.lan.cut(host_of(follower).host):
            load.wait_written(10)  # it may have led the raft
            forget_the_past(leader)
        load.wait_written(10)
    load.check()
    wait(lambda: managers.leader_at([follower]), "that its etcd has what it missed")
    before = configs(leader)
    others = managers.others(follower)
    # Their parents too, which would start managers anew that lead before this one does.
    with stopped([pid for one in others for pid in (one.pid, one.worker_pid("manager"))]):
        wait(lambda: managers.leader is follower, "that it leads")
        assert before == configs(follower)


def forget_the_past(node: RealNode) -> None:
    """So many entries that etcd's log has its beginning cut off, and no older revisions."""
    with grpc.insecure_channel(f"unix:{node.state_dir}/etcd/client:0") as channel:
        stub = etcd_pb2_grpc.KVStub(channel)

        revisions: list[int] = []

        def is_put(number: int) -> bool:
            ballast = etcd.PutRequest(key=b"ballast", value=b"%d" % number)
            request = etcd.TxnRequest(success=[etcd.RequestOp(request_put=ballast)])
            with contextlib.suppress(grpc.RpcError):  # another member leads the raft from now on
                revisions.append(stub.Txn(request, timeout=30).header.revision)
                return True
            return False

        def put(number: int) -> float:
            return wait(lambda: is_put(number), "that etcd takes it")

        with ThreadPoolExecutor(64) as pool:
            list(pool.map(put, range(_ENTRIES)))
        stub.Compact(etcd.CompactionRequest(revision=max(revisions)), timeout=30)


def configs(node: RealNode) -> set[str]:
    return {one.id for one in node.call("ListConfigs", api.ListConfigsRequest()).configs}
