"""The manager: decides what the cluster runs.

A user's wish goes round one ring, and what happened comes back by it:

    control API ─▶ store ─▶ orchestrators ─▶ allocator ─▶ scheduler ─▶ dispatcher ─▶ agent
                     ▲                                                                 │
                     └───────────── task status ◀── dispatcher (batched) ◀─────────────┘

A component never calls another: it watches the store and changes the store. manager.py opens the
store and serves; leadership.py runs the loops of components.py while the lease is held.

At the start, and of this one manager:

    locked          wait for the unlock key, where the key file is sealed
    sealed_store    the store, under the data key of the key file
    addresses       where this manager is found
    bootstrap       a new cluster: root CA, certificate, first objects; later: do they still fit
    autolock        keep the key file sealed as the cluster says
    listeners       which service answers on which socket
    health, metrics, observability, http_pages
                    whether it serves, and how it fares
    wall_clock      says when the host's clock jumps

    quorum          several managers as one: joining, leaving, who leads

Components: the rooms control, dispatcher, orchestrators, allocator, scheduler, ca, log_broker,
journal, csi; and

    watch_api       the change feed
    backup_api      everything there is, for a backup
    attachments     nodes ask for places on networks
    reaper          forget old tasks
    constraint_enforcer
                    move tasks off nodes that no longer fit; constraints has the language
    volume_enforcer move tasks off volumes that are drained
    key_manager     rotate network keys
    manager_status  which nodes are managers, and who leads; reach asks the others
"""
