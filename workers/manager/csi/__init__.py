"""Volumes of cluster type, as the storage behind them sees them: made, attached, detached, deleted.

    wished by the user          spec, availability, pending_delete
    needed by tasks             task.volumes, which the scheduler writes
    where it is on each node    publish_status, which is written here:

        PENDING_PUBLISH ─ ControllerPublish ─▶ PUBLISHED
              ▲                                    │ no task needs it any more
        a task needs it                            ▼
              │                         PENDING_NODE_UNPUBLISH
              │                                    │ the node let go of it (dispatcher)
              │                                    ▼
           (none) ◀─ ControllerUnpublish ─ PENDING_UNPUBLISH

`plan` says what each volume needs (pure), `controller` asks its plugin for it, `outcomes` are what
that changes (pure). `volume_manager` watches, asks the plan, and acts: one call at a time for each
volume, retried for ever. Everything is in the store, and every call can be repeated: the next
leader goes on where the one before it ended.

The leader's component list runs it. It imports the store, the messages and swarmd.csi.
"""
