"""Several managers as one: who they are, who leads, how one comes and goes.

alone (SQLite) ──a second manager asks to join──▶ moving ──▶ a quorum of one ──▶ of two, three …

part       what the rest of the manager knows of it: alone, or one of several
opening    at a manager's start: join, or come back, and wait for the quorum
joining    a new manager's part: ask, keep the answer, wait until its etcd is a voter
moving     the store goes from this manager's file into etcd, when the second manager asks
disk       whether there is room for etcd
server     what other managers ask: to join, and where everyone is
members    the leader's part: learners become voters, who is no manager any more is removed
roles      promotion and demotion, as the nodes' specs ask for
addresses  where each manager is found, kept in quorum.json on every one of them
leader     the way to the leader, for the calls that only it can answer
absent     who is away, for the calls that find no leader
leaving    a manager that is one no more, or has to join anew
forced     --force-new-cluster: this manager goes on, and the others are workers
data_keys  the key that seals the store, held by all, and its successor
upkeep     room in etcd: measured, won back, a used-up quota mended
waiting    what a manager serves while there is no quorum
"""
