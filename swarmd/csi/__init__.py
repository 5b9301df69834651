"""The Container Storage Interface: the way to the storage plugins of this host.

A manager asks a plugin's Controller service to make, attach and delete volumes, an agent its Node
service to mount them. Both reach it on the unix socket that --csi-plugin names.

    driver     one plugin: connect, probe, call, with a time limit and a sentence for each failure
    convert    objects of the store and of assignments to the interface's own, and back (pure)

The messages are made from api/protos/csi.proto.
"""
