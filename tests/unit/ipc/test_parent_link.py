from swarmd.config import NodeConfig
from swarmd.ipc.messages import CertificateRenewed, Managers, Ready
from swarmd.ipc.parent_link import ParentLink

CONFIG = NodeConfig(hostname="host")


def test_what_is_reported_goes_up():
    sent = []
    ParentLink(CONFIG, sent.append).report(Ready())
    assert [Ready()] == sent


async def test_updates_come_in_order_and_end_with_the_parent():
    link = ParentLink(CONFIG, [].append)
    for message in (Managers(("a",)), CertificateRenewed(), None):
        link.deliver(message)
    assert [Managers(("a",)), CertificateRenewed()] == [update async for update in link.updates()]
