"""Cluster volumes on this node: mounted by their plugins, for the tasks that were given them.

    node_plugin   the calls to a plugin's Node service: stage, publish, and back
    volume_set    what this node is told to have: mounted, unmounted, reported
    records       which volumes an earlier agent of this node has mounted
    reports       tell the dispatcher of those that were let go

A volume is at DIR/PLUGIN/published/ID, where DIR is `csi` in the state directory. The manager says
when a node is to have it, and when no more; it goes once no task of this node uses it any more,
whatever the manager thinks. Whether it is mounted is asked of nobody: the calls are made again
after a restart, since each of them can be repeated.
"""
