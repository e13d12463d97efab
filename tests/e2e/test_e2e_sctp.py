"""The whole procedure with control links over the SCTP of a kernel, and over both transports at once."""

import json

import pytest
from click.testing import CliRunner
from doubles.network import Network, run

from rprov.cli.demo import demo
from rprov.model.sctp import Carrier

pytestmark = pytest.mark.sctp_kernel


@pytest.mark.parametrize("carrier", Carrier)
def test_the_demo_over(carrier: Carrier, tmp_path: object) -> None:
    arguments = ["--workdir", str(tmp_path), "--transport", carrier.value, "--devices", "3", "--report", "json"]
    result = CliRunner().invoke(demo, arguments, standalone_mode=False)
    assert result.exception is None, result.output
    report = json.loads(result.output)
    assert [device["ok"] for device in report["devices"]] == [True] * 3


def test_ends_that_leave_it_to_chance_use_sctp(tmp_path: object) -> None:
    async def scenario() -> None:
        async with Network(tmp_path) as net:
            device = await net.device()
            ended = await net.attach(device)
            assert ended.ok
            assert net.ran._n2 is not None
            assert net.ran._n2.carrier == "sctp"
            assert net.ran._n2.streams == 256

    run(scenario())
