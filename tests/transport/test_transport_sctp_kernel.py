"""Everything that needs SCTP in the kernel, run inside a kernel that has it (tools/with_sctp_kernel.sh)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rprov.transport.sctp_socket import available

pytestmark = [pytest.mark.slow, pytest.mark.privileged]

ROOT = Path(__file__).parents[2]
NOT_BOOTED = 125


def inside(*command: str, seconds: int = 540) -> subprocess.CompletedProcess[str]:
    """Run a command in the kernel with SCTP; says why where that is not possible."""
    if shutil.which("linux.uml") is None:
        pytest.skip("linux.uml is missing: apt-get install --no-install-recommends user-mode-linux")
    ended = subprocess.run(
        [str(ROOT / "tools" / "with_sctp_kernel.sh"), *command],
        cwd=ROOT,
        env={**os.environ, "SCTP_KERNEL_SECONDS": str(seconds)},
        capture_output=True,
        text=True,
        timeout=seconds + 30,
    )
    if ended.returncode == NOT_BOOTED:
        pytest.skip(f"User-Mode Linux does not boot here: {ended.stderr[-600:]}")
    return ended


@pytest.mark.skipif(available(), reason="this kernel has SCTP: the tests run as they are")
def test_the_tests_that_need_an_sctp_kernel() -> None:
    ended = inside(sys.executable, "-m", "pytest", "-m", "sctp_kernel", "tests/transport", "tests/e2e")
    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
    assert "skipped" not in ended.stdout, ended.stdout[-2000:]


def test_exit_codes_and_output_come_out_of_the_kernel() -> None:
    ended = inside("sh", "-c", 'echo out; echo err >&2; echo "$SCTP_KERNEL"; exit 7')
    assert (ended.returncode, ended.stderr) == (7, "err\n")
    assert ended.stdout.startswith("out\n6.")
