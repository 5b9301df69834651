"""Signs certificates: the life of a certificate request.

    IssueNodeCertificate                      signer                       NodeCertificateStatus
      join token  ─▶ new Node, PENDING ──┐                              ┌─▶ ISSUED, certificate
      certificate ─▶ its Node,  RENEW  ──┴─▶ sign, many in one commit ──┴─▶ FAILED, and why

server.py takes requests and tells how they fare; signer.py signs what the store says is to be
signed (requests.py), so a manager that dies between the two forgets nothing. The key is the cluster
object's. rotation.py carries a change of root through; own_certificate.py renews this manager's.
external.py says whom to ask instead, where the cluster has external CAs. revocation.py ends what a
removed node has open.
"""
