"""The external CAs of the cluster, as seen from this manager: whom to ask, and who answers."""

import asyncio
from collections.abc import Callable, Sequence

from swarmd import api
from swarmd.logs import fields, get_logger
from swarmd.security.certificates import NodeCertificates
from swarmd.security.external_ca import ExternalCA
from swarmd.security.root_ca import RootCA, normalized

log = get_logger(__name__)

Own = Callable[[], NodeCertificates]
Endpoint = tuple[str, bytes]


def external_ca(cluster: api.Cluster, own: Own) -> ExternalCA | None:
    """Who signs node certificates in this cluster's name now; None where the cluster does itself.

    While the root changes, that are those who sign for the following one. Blocks.
    """
    root = cluster.root_ca
    following = root.root_rotation
    signs_for = following.ca_cert or root.ca_cert
    urls = [
        one.url
        for one in cluster.spec.ca_config.external_cas
        if (normalized(one.ca_cert) if one.ca_cert.strip() else root.ca_cert) == signs_for
    ]
    if not urls:
        return None
    roots = root.ca_cert + following.ca_cert
    return ExternalCA(urls, roots, own(), following.cross_signed_ca_cert)


async def answering(endpoints: Sequence[Endpoint], own: Own) -> list[Endpoint]:
    """Those that take our certificate, and show one of the root that they sign for."""

    def tries(endpoint: Endpoint) -> bool:
        url, root = endpoint
        return ExternalCA([url], root, own()).answers(url)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asyncio.to_thread(tries, one)) for one in endpoints]
    for (url, _), task in zip(endpoints, tasks, strict=True):
        if not task.result():
            log.warning("an external CA does not answer", extra=fields(url=url))
    return [one for one, task in zip(endpoints, tasks, strict=True) if task.result()]


async def cross_sign(urls: Sequence[str], root: api.RootCA, own: Own) -> bytes:
    """The intermediate (PEM) from the present root to the following, by who signs for the present.

    Raises ExternalCAError where nobody answers, BadCertificateError for what is no intermediate.
    """
    following = RootCA(root.root_rotation.ca_cert, root.root_rotation.ca_key)
    return await asyncio.to_thread(
        lambda: ExternalCA(urls, root.ca_cert, own()).cross_sign(following)
    )
