"""The TCP of the Linux kernel talks to ours, both ways, where this machine lets us have a TUN device."""

import subprocess
import sys
from pathlib import Path

import pytest
from doubles import linux_tcp


@pytest.mark.privileged
@pytest.mark.parametrize("loss", ["0", "0.01"])
def test_linux_and_rprov_understand_each_other(loss):
    program = Path(linux_tcp.__file__)
    done = subprocess.run([sys.executable, program, loss], capture_output=True, text=True, timeout=90)
    if done.returncode == linux_tcp.LACKS:
        pytest.skip(done.stdout.strip())
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("ok", "", 0)
