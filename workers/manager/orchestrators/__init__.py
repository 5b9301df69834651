"""Services become tasks, and stay so.

Loops, which watch the store and change it; each looks after the services of one mode, or after
one concern of all. orchestrator.py runs them as one component of the leader.

    replicated.py        services with replicas: as many slots as the spec says
    global_services.py   one task on each fitting node
    jobs.py              run to completion: so many times, or once on each node
    updater.py           brings slots to the newest spec, a few at a time, for the first two
    restarts.py          replaces what ended; starts the replacement once its delay ran
    restart_governor.py  holds services whose tasks die everywhere alike; restart_api.py answers
    removals.py          tells the tasks of removed services to go
    loop.py              what these have in common

Decisions, which are pure: update_plan.py (the next slots, pause or roll back), job_plan.py (what a
job lacks), restart_policy.py (restart or not, and when), restart_breaker.py (hold the service or
not), recovery.py (what a leader before us left undone), slots.py (tasks by slot), dirty.py (must an
update replace it?), fit.py (may the node have it?), news.py (is a change worth a look?),
new_task.py (a task from a service).

What they know stands in the store, in part as labels of the tasks (swarmd.update,
swarmd.restart.*): another leader goes on where this one stopped, between any two commits.
Imports: store, api, base, workers.manager.constraints.
"""
