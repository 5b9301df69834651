"""Who signs whom, and where each key rests.

The root CA (root_ca) is made once, at the first start of the first manager. Its key lives in the
cluster object of the store, its certificate in every node's `swarm-root-ca.crt`. It signs one
certificate for each node (certificates): the subject's CN is the node's id, OU its role, O the
cluster's id. A node keeps its certificate in `swarm-node.crt` and its key in `swarm-node.key`
(key_file), a file that can carry PEM headers beside the key. Who has no certificate yet shows a
join token (join_tokens), which also names the root CA by its digest.

At rest a manager's store is sealed (encryption) under a data key, which lies in the headers of its
key file (data_key). With autolock that file is sealed (sealed_key) under the cluster's unlock key
(unlock_key), which is nowhere on the disks of a stopped cluster.

    identity        who a node or a caller is, as its certificate says
    certificates    keys, requests and certificates; NodeCertificates, the three files of a node
    reentry         a node whose certificate ran out asks again, and proves who it is
    root_ca         sign a request, cross-sign another root, digest
    external_ca     have a CFSSL server sign instead
    key_file        the node key on disk, with its headers, and its seal
    data_key        the key of the store, in those headers
    sealed_key      a private key under an unlock key, in SwarmKit's form
    sealed_parts    a backup's file: parts under a passphrase or a recovery key
    recovery_key    mint, parse and show SWMBKP keys
    unlock_key      mint, parse and show SWMKEY keys; the one that this process knows
    encryption      seal and open bytes
    join_tokens     mint, parse and check SWMTKN tokens
    tls             TLS contexts and channel credentials made from a node's certificates

Nothing here dials anyone but an external CA.
"""
