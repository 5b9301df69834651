"""Who may call: by role, cluster and the list of removed nodes; a local caller always."""

import pytest

from swarmd.errors import PermissionDeniedError
from swarmd.rpc.authorize import NOBODY, Authorizer, Rule, rule_of
from swarmd.rpc.handlers import path, services
from swarmd.security.identity import MANAGER, WORKER, Caller, Identity, Peer

NODE = Identity("me", MANAGER, "c1")
MANAGERS = Rule(frozenset({MANAGER}), insecure=False)
NODES = Rule(frozenset({MANAGER, WORKER}), insecure=False)
ANYONE = Rule(frozenset(), insecure=True)
ADDR = "10.0.0.9:777"


@pytest.fixture
def authorizer():
    return Authorizer(NODE, is_removed=lambda node_id: node_id == "removed")


def peer(node_id="n1", role=WORKER, cluster_id="c1"):
    return Peer(Identity(node_id, role, cluster_id), ADDR, local=False)


STRANGER = Peer(None, ADDR, local=False)


def test_a_local_caller_may_do_everything_in_the_nodes_name(authorizer):
    local = Peer(None, "", local=True)
    for rule in (MANAGERS, NODES, ANYONE, NOBODY):
        assert Caller("me", MANAGER, "c1", "", local=True) == authorizer.authorize(rule, local)


@pytest.mark.parametrize(("rule", "role"), [(MANAGERS, MANAGER), (NODES, WORKER), (ANYONE, WORKER)])
def test_a_certificate_of_a_fitting_role_is_its_nodes_caller(authorizer, rule, role):
    caller = authorizer.authorize(rule, peer(role=role))
    assert Caller("n1", role, "c1", ADDR, local=False) == caller


@pytest.mark.parametrize(
    ("rule", "caller", "why"),
    [
        (MANAGERS, peer(), "needs swarm-manager, and node n1 is swarm-worker"),
        (MANAGERS, STRANGER, "no client certificate"),
        (NODES, peer(cluster_id="c2"), "not of cluster c1"),
        (NODES, peer("removed"), "removed was removed"),
        (NOBODY, peer(role=MANAGER), "needs the control socket"),
    ],
)
def test_anyone_else_is_refused_with_the_reason(authorizer, rule, caller, why):
    with pytest.raises(PermissionDeniedError, match=why):
        authorizer.authorize(rule, caller)


@pytest.mark.parametrize("caller", [STRANGER, peer("removed"), peer(cluster_id="c2")])
def test_where_no_certificate_is_needed_one_that_does_not_count_is_as_none(authorizer, caller):
    assert Caller("", "", "", ADDR, local=False) == authorizer.authorize(ANYONE, caller)


def test_every_method_of_the_wire_says_who_may_call_it():
    silent = [path(m) for s in services() for m in s.methods if rule_of(m) == NOBODY]
    assert ["/swarmd.v1.Autolock/Unlock"] == silent  # for the control socket alone


def test_only_the_three_calls_of_a_joining_node_need_no_certificate():
    open_to_all = {path(m).rpartition("/")[2] for s in services() for m in s.methods
                   if rule_of(m).insecure}  # fmt: skip
    assert {
        "GetRootCACertificate",
        "IssueNodeCertificate",
        "NodeCertificateStatus",
    } == open_to_all


def test_a_node_removed_during_its_call_hears_no_more(authorizer):
    gone = Caller("removed", WORKER, "c1", ADDR, local=False)
    with pytest.raises(PermissionDeniedError, match="node removed was removed"):
        authorizer.check_still_there(gone)
    authorizer.check_still_there(Caller("n1", WORKER, "c1", ADDR, local=False))
    authorizer.check_still_there(Caller("removed", MANAGER, "c1", "", local=True))
