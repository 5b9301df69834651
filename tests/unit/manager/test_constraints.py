"""Which nodes a constraint lets through, and which expressions are none."""

import pytest

from swarmd import api
from swarmd.errors import Status
from workers.manager.constraints import Constraint, InvalidConstraintError, label, matches, parse


def node() -> api.Node:
    return api.Node(
        id="NodeId1",
        role=api.NodeRole.MANAGER,
        spec=api.NodeSpec(annotations=api.Annotations(labels={"rack": "R1", "Rack": "other"})),
        status=api.NodeStatus(addr="10.1.2.3"),
        description=api.NodeDescription(
            hostname="Web-1",
            platform=api.Platform(os="linux", architecture="x86_64"),
            engine=api.EngineDescription(labels={"disk": "ssd"}),
        ),
    )


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ("node.id==nodeid1", True),
        ("node.id != NODEID1", False),
        ("node.hostname == web-1", True),
        ("node.hostname != web-2", True),
        ("node.role==manager", True),
        ("node.role==Worker", False),
        ("node.platform.os==LINUX", True),
        ("node.platform.arch==x86_64", True),
        ("node.platform.arch==amd64", False),
        ("node.labels.rack==r1", True),
        ("node.labels.Rack==r1", False),
        ("node.labels.absent!=r1", True),
        ("node.labels.absent==r1", False),
        ("NODE.LABELS.rack==r1", True),
        ("Engine.Labels.disk==SSD", True),
        ("engine.labels.disk!=ssd", False),
        ("node.ip==10.1.2.3", True),
        ("node.ip==::ffff:10.1.2.3", True),
        ("node.ip!=10.1.2.3", False),
        ("node.ip==10.1.0.0/16", True),
        ("node.ip!=10.2.0.0/16", True),
        ("node.ip==2001:db8::/32", False),
    ],
)
def test_expression_lets_the_right_nodes_through(expression: str, fits: bool) -> None:
    assert fits == matches(parse([expression]), node())


@pytest.mark.parametrize(
    "expression",
    [
        "NODE.ID!=another",
        "node.colour!=red",
        "node.labels.!=red",
        "node.ip!=10.1.2",
        "node.ip!=10.0.0.0/255.0.0.0",
        "node.ip!=10.0.0.0/33",
    ],
)
def test_unknown_key_or_malformed_address_fits_no_node_even_negated(expression: str) -> None:
    assert not matches(parse([expression]), node())


def test_all_constraints_must_hold() -> None:
    assert matches(parse(["node.role==manager", "node.labels.rack==r1"]), node())
    assert not matches(parse(["node.role==manager", "node.labels.rack==r2"]), node())


def test_no_constraints_fit_every_node() -> None:
    assert matches([], api.Node())


@pytest.mark.parametrize("addr", ["", "nonsense", "fe80::1%eth0"])
def test_node_without_an_address_is_in_no_network(addr: str) -> None:
    bare = api.Node(status=api.NodeStatus(addr=addr))
    assert not matches(parse(["node.ip==10.0.0.0/8"]), bare)
    assert matches(parse(["node.ip!=10.0.0.0/8"]), bare)
    assert not matches(parse(["node.ip==10.0.0.1"]), bare)


def test_undescribed_node_has_empty_values() -> None:
    assert not matches(parse(["node.hostname==web-1"]), api.Node())
    assert matches(parse(["node.hostname!=web-1"]), api.Node())


def test_space_around_operator_is_dropped_and_the_value_keeps_its_inner_space() -> None:
    assert [Constraint("node", equal=True, value="node 1")] == parse([" node ==  node 1 "])


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("nodeabc", "constraint expected one operator from ==, !="),
        ("node ~ abc", "constraint expected one operator from ==, !="),
        ("1node==a2", "key '1node' is invalid"),
        ("n==a2", "key 'n' is invalid"),
        ("no de== node1", "key 'no de' is invalid"),
        ("==node1", "key '' is invalid"),
        ("a!=b==c", "key 'a!=b' is invalid"),
        ("node==", "value '' is invalid"),
        ("node== ", "value '' is invalid"),
        ("node==a<b", "value 'a<b' is invalid"),
        ("node==é", "value 'é' is invalid"),
    ],
)
def test_malformed_expression_is_refused_with_the_known_sentence(
    expression: str, sentence: str
) -> None:
    with pytest.raises(InvalidConstraintError) as refused:
        parse([expression])
    assert sentence == str(refused.value)
    assert Status.UNKNOWN == refused.value.status


def test_label_of_a_spread_descriptor() -> None:
    assert label("node.labels.rack", node()) == "R1"
    assert label("engine.labels.absent", node()) == ""
    assert label("node.id", node()) is None
