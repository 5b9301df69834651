"""What a volume needs next, walked at random: tasks move, nodes go, calls are lost."""

from hypothesis import given, settings
from hypothesis import strategies as st

from swarmd import api
from tests.unit.manager.csi.cluster import Scope, Sharing, State, task, volume
from workers.manager.csi import outcomes, plan
from workers.manager.csi.plan import Act

NODES = ("n1", "n2", "n3")


class World:
    """A volume in the store, where it really is attached, and where it is mounted."""

    def __init__(self, scope: int) -> None:
        self.volume = volume(access_mode={"scope": scope, "sharing": Sharing.ALL, "mount": {}})
        self.nodes = set(NODES)
        self.needed: set[str] = set()
        self.exists = False
        self.attached: set[str] = set()
        self.mounted: set[str] = set()

    def settle(self) -> bool:
        """Whether that changed anything."""
        before = list(self.volume.publish_status)
        wanted = plan.publish_statuses(self.volume, self.needed, self.nodes.__contains__)
        outcomes.settled(self.volume, wanted)
        return before != wanted

    def act(self, *, answer_lost: bool = False) -> bool:
        """Make the first call that is due; whether there was one."""
        steps = plan.steps(self.volume)
        if not steps:
            return False
        step = steps[0]
        match step.act:
            case Act.CREATE:
                self.exists = True
                if not answer_lost:
                    outcomes.created(self.volume, api.VolumeInfo(volume_id="disk"))
            case Act.PUBLISH:
                self.attached.add(step.node_id)
                if not answer_lost:
                    outcomes.published(self.volume, step.node_id, {})
            case Act.UNPUBLISH:
                assert step.node_id not in self.mounted, "detached under a node that has it mounted"
                self.attached.discard(step.node_id)
                if not answer_lost:
                    outcomes.unpublished(self.volume, step.node_id)
            case Act.DELETE:
                raise AssertionError("nobody asked for it")
        return True

    def agents(self) -> bool:
        """What agents do of what they were told, and report; whether that changed anything."""
        before = (set(self.mounted), self.volume.SerializeToString(deterministic=True))
        for status in self.volume.publish_status:
            if status.node_id in self.nodes and status.state == State.PUBLISHED:
                self.mounted.add(status.node_id)
            elif status.node_id in self.nodes and status.state == State.PENDING_NODE_UNPUBLISH:
                self.mounted.discard(status.node_id)
                status.state = State.PENDING_UNPUBLISH
        return before != (self.mounted, self.volume.SerializeToString(deterministic=True))

    def move(self, node_id: str) -> None:
        """As the scheduler would: of a single scope, to one node at a time."""
        if node_id in self.needed:
            self.needed.discard(node_id)
        elif node_id in self.nodes:
            is_single = self.volume.spec.access_mode.scope == Scope.SINGLE_NODE
            self.needed = {node_id} if is_single else self.needed | {node_id}

    def lose(self, node_id: str) -> None:
        self.nodes.discard(node_id)
        self.needed.discard(node_id)
        self.mounted.discard(node_id)


MOVES = st.tuples(
    st.sampled_from(["settle", "act", "lost answer", "agents", "move", "lose"]),
    st.sampled_from(NODES),
)


@settings(max_examples=200)
@given(st.sampled_from([Scope.SINGLE_NODE, Scope.MULTI_NODE]), st.lists(MOVES, max_size=40))
def test_it_is_where_it_is_needed_in_the_end_and_of_a_single_scope_never_in_two_places(
    scope: int, moves: list[tuple[str, str]]
) -> None:
    world = World(scope)
    for move, node_id in moves:
        match move:
            case "settle":
                world.settle()
            case "act":
                world.act()
            case "lost answer":
                world.act(answer_lost=True)
            case "agents":
                world.agents()
            case "move":
                world.move(node_id)
            case "lose":
                world.lose(node_id)
        assert scope == Scope.MULTI_NODE or len(world.attached) <= 1
    rounds = 0
    while any([world.settle(), world.act(), world.agents()]):
        rounds += 1
        assert rounds < 50, "it never comes to rest"
        assert scope == Scope.MULTI_NODE or len(world.attached) <= 1
    assert world.exists
    assert {(x.node_id, x.state) for x in world.volume.publish_status} == {
        (node_id, State.PUBLISHED) for node_id in world.needed
    }
    assert world.needed == world.attached == world.mounted


def test_only_tasks_that_may_touch_it_need_it() -> None:
    data = volume()
    states = api.TaskState
    found = {
        state: bool(plan.users([task(data, state=state)]))
        for state in (states.PENDING, states.ASSIGNED, states.RUNNING, states.COMPLETE)
    }
    expected = {
        states.PENDING: False,
        states.ASSIGNED: True,
        states.RUNNING: True,
        states.COMPLETE: False,
    }
    assert expected == found
