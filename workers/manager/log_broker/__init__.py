"""Task output to those who ask: who talks to whom.

    swarmctl ── SubscribeLogs ──▶ server ◀── ListenSubscriptions ── agents: what is asked of them
       ▲                            │  ▲
       └───────── outbox ◀──────────┘  └──── PublishLogs ── agents: what their tasks printed

A subscription (`subscriptions`) knows which nodes have something to say, which of them are still to
finish, and which could not be asked: these are named in one error at its end, after everything that
the others said. It is best effort: no node is waited for that cannot answer.

Nobody here stores output. A subscriber that reads slowly fills its `outbox`, and the agents that
publish to it wait: theirs is a stream for each subscription, so nothing else of them does.

`server` answers the calls. It imports the store, the messages, and who calls.
"""
