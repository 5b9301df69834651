"""Services become tasks, and stay so.

    replicated.py        services with replicas: as many slots as the spec says
    global_services.py   one task on each fitting node
    jobs.py              run to completion: so many times, or once on each node
    updater.py           brings slots to the newest spec, a few at a time, for the first two
    restarts.py          replaces what ended; starts the replacement once its delay ran

Orchestrator (orchestrator.py) runs them all; each owns the services of its mode alone. The manager
runs it on the leader. They read the store and write tasks in NEW, desired states and update
statuses; what they know besides is in labels of the tasks (new_task.py), so that another leader
goes on where this one stopped. Imports: store, api, base, workers.manager.constraints.
"""
