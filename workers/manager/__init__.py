"""The manager: decides what the cluster runs.

A user's wish goes round one ring, and what happened comes back by it:

    control API ─▶ store ─▶ orchestrators ─▶ allocator ─▶ scheduler ─▶ dispatcher ─▶ agent
                     ▲                                                                 │
                     └───────────── task status ◀── dispatcher (batched) ◀─────────────┘

A component never calls another: it watches the store and changes the store. manager.py opens the
store and serves; leadership.py runs the loops of components.py while the lease is held.
"""
