"""How gRPC is served and dialled here; and the path of one call.

    client ── TLS ──▶ router: a TLS port, TCP or the control socket
                        tls_session: handshake ('verify a certificate if given'), then plain bytes
                        │  private unix sockets; each connection is known by its bound name
                        ▼
                      server: the port and the sockets; inner: the grpc.aio servers behind
                        handlers: one for each method of every service
                          authorize   may this caller call this method? by the option in the protos
                          open_calls  those of a node that is removed meanwhile end at once
                          forward     a manager that follows passes it on to the leader
                          limits      an answer that its client could not take is refused
                          soundness   bytes that are no message are told to be none
                          errors      what a handler raises becomes a status with its sentence
                            the servicer's own method

TLS ends in the router, as grpcio can require a client's certificate or ignore it, but has no
'verify if given', which SwarmKit's clients need. It costs what a router of bytes costs, and gives
one listener, the caller's real address and new certificates without closing the port.

    sockets    bind the two kinds of port, or say why not
    wakeups    every event of grpcio that is there, in one turn of a busy loop
    channel    dial a manager, or the control socket
    tunnel     dial it by TLS of our own, where the manager's does not offer HTTP/2
    hand_over  another manager's etcd comes in: past this process, to the etcd worker
"""

import os

# Read once, when grpcio starts. Its C core tells each failed handshake on stderr, past our log;
# whoever wants that sets the variable.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
