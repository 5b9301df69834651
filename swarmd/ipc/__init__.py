"""The few words that the parent and a worker say to each other, one JSON object a line.

    up    an inherited descriptor of the worker, its number in SWARMD_STATUS_FD
          Alive               the worker's own event loop turns; said every SWARMD_ALIVE_SECONDS
          Ready               it does its work: the manager takes control requests, the agent is
                              registered
          NodeChanged         who this node is, by its certificate; where its manager listens
          CertificateRenewed  new files lie in the state directory
          Locked              the key file is sealed, and the manager waits for the unlock key
          UnlockKey           the key that opens it; goes down too, to the other worker, and with
                              the configuration of one that starts later. It is on no disk
          Status              facts for `swarmd status`
          Stopping            it takes its stop path
          Failed              why it is about to exit

    down  the worker's standard input
          Configure           the first line: the node's options, which may hold tokens and so never
                              stand on a command line
          Managers            where managers of this cluster listen
          LogLevel            log from this level on
          CertificateRenewed  the other worker of this node renewed it

End of file on the pipe down means that the parent is gone; the worker stops. End of file on the
pipe up means nothing by itself: the parent waits for the process.

messages.py has the words, pipe.py carries lines, parent_link.py is what a worker's main sees,
environment.py names the variables that hand over descriptors.
"""
