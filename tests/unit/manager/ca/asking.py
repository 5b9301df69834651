"""What the CA's services are asked, and by whom."""

import asyncio
from types import SimpleNamespace

from swarmd import api
from swarmd.security.certificates import new_request
from swarmd.security.identity import WORKER, Caller
from swarmd.security.reentry import FORMER_HEADER, QUORUM_HEADER, request_again


def nobody(former: bytes = b"", *more: tuple[str, str]):
    """The context of a caller without a certificate, or with that which it had before."""
    sent = ((FORMER_HEADER, former),) if former else ()
    return SimpleNamespace(
        caller=Caller("", "", "", "10.0.0.1:1", local=False),
        invocation_metadata=lambda: (*sent, *more),
    )


NOBODY = nobody()
ONE_OF_OURS = nobody(b"", (QUORUM_HEADER, "yes"))


def cluster_of(store):
    (cluster,) = store.view().clusters.find()
    return cluster


def of(node_id, role=WORKER):
    return SimpleNamespace(caller=Caller(node_id, role, "c", "10.0.0.1:1", local=False))


def request(store, token="", csr=None, **rest):
    csr = new_request()[0] if csr is None else csr
    tokens = cluster_of(store).root_ca.join_tokens
    token = getattr(tokens, token, token)
    return api.IssueNodeCertificateRequest(csr=csr, token=token, **rest)


async def status(ca, node_id):
    asked = api.NodeCertificateStatusRequest(node_id=node_id)
    async with asyncio.timeout(5):
        return await ca.NodeCertificateStatus(asked, NOBODY)


class Joined:
    """A worker that joined; `lose_one` renews its certificate, and drops what comes of that."""

    def __init__(self, ca, store):
        self.ca, self.store = ca, store
        self.node_id, self.key, self.former = "", b"", b""

    async def join(self):
        csr, self.key = new_request()
        asked = request(self.store, "worker", csr)
        self.node_id = (await self.ca.IssueNodeCertificate(asked, NOBODY)).node_id
        self.former = (await status(self.ca, self.node_id)).certificate.certificate
        return self

    async def lose_one(self):
        asked = request(self.store)
        await self.ca.IssueNodeCertificate(asked, of(self.node_id))
        await status(self.ca, self.node_id)

    async def come_back(self, former=None, key=b"", name=""):
        csr = request_again(name or self.node_id, key or self.key)
        asked = request(self.store, "worker", csr)
        context = nobody(self.former if former is None else former)
        return (await self.ca.IssueNodeCertificate(asked, context)).node_id
