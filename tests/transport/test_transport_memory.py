"""The contract in memory, where nothing but the loop is between two ends."""

import pytest
from contract import *  # noqa: F403
from contract import Play, always, player

from rprov.transport.memory import MemoryNetwork


@pytest.fixture
def play() -> Play:
    return player(always(MemoryNetwork()))
