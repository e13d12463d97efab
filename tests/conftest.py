"""What every test gets: the doubles on the path, and how hypothesis runs. Warnings are errors (setup.cfg)."""

import atexit
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from rprov.transport.sctp_socket import available

sys.path.insert(0, str(Path(__file__).parent))

# Control sockets of daemons that tests start are not among those of daemons that run on this machine.
os.environ["RPROV_RUN_DIR"] = tempfile.mkdtemp(prefix="rprov-run-")
atexit.register(shutil.rmtree, os.environ["RPROV_RUN_DIR"], ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a kernel with SCTP where there is none: test_transport_sctp_kernel.py runs it in one."""
    if not available():
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("sctp_kernel")])
        items[:] = [item for item in items if not item.get_closest_marker("sctp_kernel")]


@pytest.fixture(autouse=True)
def _silent_loggers() -> Iterator[None]:
    """Leave the loggers as a library has them: a command that a test runs in this process speaks to a stream."""
    logger = logging.getLogger("rprov")
    yield
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


# No deadline: two workers on two cores make single examples slow now and then, and that proves nothing.
settings.register_profile(
    "default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
