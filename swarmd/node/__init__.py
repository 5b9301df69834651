"""The life of one node, from first start to leaving: the parent process.

    run.py      run_node: what `swarmd run` does; signals, systemd, exit status
    node.py     Node: started, ready, stopped, closed; start, stop, err
    crew.py     the workers of a node, as the plan wants them; their stop order
    errors.py   what the calls of a Node raise
    plan.py     what is known of the node to the workers that should exist (pure)
    phases.py   the phases of a node, as a table
    lock.py     one node to a state directory
    report.py   run/node.json: what this node is, for `swarmd status`
    signals.py  SIGTERM, SIGINT and SIGHUP become wishes; a lost supervisord too
    notify.py   sd_notify, where systemd started us

A first node has no certificate and nobody to ask. Its manager makes the root and the certificate
and says so; meanwhile the agent's process is there already, its imports done, and waits for its
configuration. A joining node starts its agent alone, which enrols and says which role it got.
After that the certificate on disk says the role, and a promotion or a demotion adds or drains the
manager without the agent noticing.

Standard library only: the parent has so little in it that it has no reason to die.
"""

from swarmd.node.node import Node
from swarmd.node.run import run_node

__all__ = ["Node", "run_node"]
