"""Every test of this folder has its own store and broker."""

from collections.abc import AsyncIterator

import pytest

from swarmd.store import MemoryBackend, Store
from tests.fakes.clock import FakeClock
from tests.unit.manager.log_broker.conversation import Conversation


@pytest.fixture
async def talk() -> AsyncIterator[Conversation]:
    clock = FakeClock()
    async with Store(MemoryBackend(), clock) as store:
        conversation = Conversation(store, clock)
        yield conversation
        await conversation.end()
