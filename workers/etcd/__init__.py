"""The etcd worker: one etcd process, and the ways between it and those of the other managers.

    etcd ──▶ socket <other's id>:0 ──▶ tunnel ══ TLS to the other's remote port ══▶ its manager
                                                                                        │ descriptor
    etcd ◀── socket <own id>:0 ◀── tunnel ◀══ the same connection ══ door ◀─────────────┘

A member's peers are unix sockets in its own directory, named by their nodes. So no address is in
etcd's membership: one that changes is changed in quorum.json alone, and etcd never hears of it.
What goes between hosts has the cluster's own certificates on both sides, by one port, the remote
one; a manager worker that dies takes no connection along, as it has handed them over.

command.py is how etcd is started; member.py runs it and says how it is; slowness.py what it
says of a slow disk; tunnel.py leads its connections out, door.py takes those that come in; will.py
gives a dead manager's lead back; forcing.py goes on without the others, with all that the log has
and did not know to be committed (unheard.py).
"""
