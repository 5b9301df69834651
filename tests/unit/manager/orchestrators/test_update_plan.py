from hypothesis import given
from hypothesis import strategies as st

from swarmd import api
from swarmd.api import times
from tests import builders
from workers.manager.orchestrators import new_task
from workers.manager.orchestrators.update_plan import MOVES, Rollout

Action = api.UpdateConfig.FailureAction
State = api.TaskState
Update = api.UpdateStatus.UpdateState


class Field:
    """A service under update, slot by slot, without a store."""

    def __init__(self, replicas, **config):
        self.now = 100.0
        self.service = builders.service(replicas=replicas)
        self.service.spec.update.MergeFrom(api.UpdateConfig(**config))
        template = new_task.template(self.service, None, 0)
        self.slots = {n: [self._task(template, n, State.RUNNING)] for n in range(1, replicas + 1)}
        self.service.spec_version.index += 1
        self.service.spec.task.force_update += 1
        self.service.update_status.state = Update.UPDATING
        self.service.update_status.started_at.CopyFrom(times.timestamp(self.now))

    def rollout(self, heard_since=0.0):
        found = Rollout(self.service, heard_since=heard_since)
        for number in self.slots:
            self.see(found, number)
        return found

    def see(self, rollout, number):
        rollout.see(number, self.slots[number], lambda _: None)

    def replace(self, slot):
        number = slot[0].slot
        for task in self.slots[number]:
            task.desired_state = max(task.desired_state, State.SHUTDOWN)
            task.status.state = State.SHUTDOWN
        made = self._task(new_task.template(self.service, None, 0), number, State.STARTING)
        made.meta.created_at.CopyFrom(times.timestamp(self.now))
        new_task.mark_update(made, self.service)
        self.slots[number].append(made)

    def report(self, number, state, own_time=None):
        """The manager hears it now; it was at `own_time` by the host's clock."""
        task = api.Task()
        task.CopyFrom(self.slots[number][-1])
        task.status.state = state
        task.status.timestamp.CopyFrom(times.timestamp(own_time or self.now))
        task.status.applied_at.CopyFrom(times.timestamp(self.now))
        self.slots[number][-1] = task

    def updated(self, rollout):
        """All slots have their new task, and it runs."""
        while replace := rollout.step(self.now).replace:
            for slot in replace:
                self.replace(slot)
                self.report(slot[0].slot, State.RUNNING)
                self.see(rollout, slot[0].slot)

    def under_way(self):
        return [n for n, slot in self.slots.items() if slot[-1].status.state == State.STARTING]

    @staticmethod
    def _task(template, number, state):
        task = new_task.from_template(template, builders.new_id(), slot=number)
        task.status.state = state
        return task


def test_an_update_that_is_paused_or_complete_waits_for_the_user_and_none_goes_round():
    told = {state for moves in MOVES.values() for state in moves.values()}
    resting = {state for state in Update.values() if state not in MOVES}
    ended = {Update.COMPLETED, Update.ROLLBACK_COMPLETED}
    assert {Update.PAUSED, Update.ROLLBACK_PAUSED} | ended == resting
    assert told | {Update.UNKNOWN} == set(Update.values())
    back = MOVES[Update.ROLLBACK_STARTED].values()
    assert {Update.ROLLBACK_STARTED, Update.UPDATING}.isdisjoint(back)


def test_what_failed_after_the_end_is_no_failure_of_the_update():
    for ended in (Update.COMPLETED, Update.ROLLBACK_COMPLETED):
        field = Field(2, parallelism=0)
        field.updated(rollout := field.rollout())
        field.report(1, State.FAILED)
        field.see(rollout, 1)
        assert Update.PAUSED == rollout.step(field.now).verdict.state
        field.service.update_status.state = ended
        assert field.rollout().step(field.now).verdict is None


def test_a_new_leader_listens_for_a_monitor_period_before_an_update_is_complete():
    field = Field(2, parallelism=0, monitor=times.duration(5))
    field.updated(field.rollout())
    field.now += 60  # nobody led meanwhile
    new = field.rollout(heard_since=field.now)
    assert (None, field.now + 5) == (new.step(field.now).verdict, new.step(field.now).wake_at)
    assert Update.COMPLETED == new.step(field.now + 5).verdict.state


def test_a_failure_that_is_told_late_is_judged_by_when_it_happened():
    field = Field(2, parallelism=0, monitor=times.duration(5))
    field.updated(field.rollout())
    failed_at = field.now + 1
    field.now += 60
    new = field.rollout(heard_since=field.now)
    field.report(1, State.FAILED, failed_at)
    field.see(new, 1)
    assert Update.PAUSED == new.step(field.now).verdict.state


def test_a_host_whose_clock_was_set_back_is_judged_by_the_managers():
    field = Field(2, parallelism=0, monitor=times.duration(5))
    field.updated(rollout := field.rollout())
    field.now += 60
    field.report(1, State.FAILED, own_time=30)
    field.see(rollout, 1)
    assert Update.COMPLETED == rollout.step(field.now).verdict.state


def test_a_rollout_chooses_no_more_than_may_be_under_way():
    field = Field(5, parallelism=2)
    rollout = field.rollout()
    first = rollout.step(field.now).replace
    assert [1, 2] == [slot[0].slot for slot in first]
    for slot in first:
        field.replace(slot)
        field.see(rollout, slot[0].slot)
    assert [] == rollout.step(field.now).replace
    field.report(1, State.RUNNING)
    field.see(rollout, 1)
    assert [3] == [slot[0].slot for slot in rollout.step(field.now).replace]


def test_start_first_is_not_over_before_a_restarts_task_runs_in_the_place_of_its_own():
    field = Field(1, order=api.UpdateConfig.UpdateOrder.START_FIRST)
    restarted = field._task(new_task.template(field.service, None, 0), 1, State.PREPARING)
    field.slots[1].append(restarted)  # the update's own task failed, and is forgotten
    rollout = field.rollout()
    assert (None, []) == (rollout.step(field.now).verdict, rollout.step(field.now).replace)
    assert not rollout.is_over
    field.report(1, State.RUNNING)
    field.see(rollout, 1)
    assert [field.slots[1][0]] == rollout.step(field.now).shut_down


def test_a_rollout_says_when_it_wants_to_look_again():
    field = Field(2, parallelism=1, delay=times.duration(30), monitor=times.duration(7))
    rollout = field.rollout()
    for number in (1, 2):
        field.replace(field.slots[number])
        field.report(number, State.RUNNING)
        field.see(rollout, number)
        expected = field.now + (30 if number == 1 else 7)
        assert expected == rollout.step(field.now).wake_at
        field.now += 30


def test_seven_failures_of_ten_do_not_exceed_a_ratio_of_seven_tenths():
    field = Field(10, parallelism=0, max_failure_ratio=0.7, monitor=times.duration(5))
    rollout = field.rollout()
    for number in field.slots:
        field.replace(field.slots[number])
        field.report(number, State.FAILED if number <= 7 else State.RUNNING)
        field.see(rollout, number)
    assert rollout.step(field.now).verdict is None
    field.report(8, State.FAILED)
    field.see(rollout, 8)
    assert Update.PAUSED == rollout.step(field.now).verdict.state


def test_a_slot_whose_new_task_failed_gets_no_second_one():
    field = Field(1, order=api.UpdateConfig.UpdateOrder.START_FIRST, failure_action=Action.CONTINUE)
    old = field.slots[1][0]
    field.replace(field.slots[1])
    old.desired_state, old.status.state = State.RUNNING, State.RUNNING
    field.report(1, State.FAILED)
    field.slots[1][-1].desired_state = State.SHUTDOWN
    assert [] == field.rollout().step(field.now).replace


OUTCOMES = st.sampled_from([State.RUNNING, State.RUNNING, State.FAILED, State.COMPLETE])


@given(
    replicas=st.integers(1, 8),
    parallelism=st.integers(0, 4),
    delay=st.sampled_from([0, 3]),
    forgets=st.booleans(),
    data=st.data(),
)
def test_a_rollout_ends_and_keeps_to_its_limits(replicas, parallelism, delay, forgets, data):
    """Whatever becomes of the tasks, and whether or not another leader takes over each time."""
    field = Field(
        replicas,
        parallelism=parallelism,
        delay=times.duration(delay),
        monitor=times.duration(2),
        failure_action=Action.CONTINUE,
    )
    rollout, verdict = field.rollout(), None
    for _ in range(200):
        rollout = field.rollout() if forgets else rollout
        step = rollout.step(field.now)
        verdict = step.verdict
        if verdict is not None:
            break
        for slot in step.replace:
            field.replace(slot)
            field.see(rollout, slot[0].slot)
        assert len(field.under_way()) <= (parallelism or replicas)
        if field.under_way():
            number = data.draw(st.sampled_from(field.under_way()))
            field.report(number, data.draw(OUTCOMES))
            field.see(rollout, number)
        field.now += data.draw(st.sampled_from([0.5, 1.0, 5.0]))
    assert verdict is not None
    assert Update.COMPLETED == verdict.state
    versions = [[task.spec_version.index for task in slot] for slot in field.slots.values()]
    assert all([1, 2] == found for found in versions)
