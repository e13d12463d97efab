"""What a configuration may say of SCTP, and that no further address opens a way around the protection of N2."""

from pathlib import Path

import pytest

from rprov.config import load_ran
from rprov.errors import ConfigError
from rprov.model.kinds import Host, Unfit
from rprov.model.places import N2Listen, N2Peer
from rprov.model.sctp import Carrier, SctpListen, SctpPeer

ELSEWHERE, HERE = Host("192.0.2.1"), Host("127.0.0.2")


def test_every_address_of_plain_n2_is_on_this_machine() -> None:
    N2Listen(sctp=SctpListen(addresses=(HERE,)))
    N2Peer(sctp=SctpPeer(addresses=(HERE,), peer_addresses=(Host("::1"),)))
    with pytest.raises(Unfit, match=r"N2 to 192\.0\.2\.1 would run unprotected"):
        N2Listen(sctp=SctpListen(addresses=(HERE, ELSEWHERE)))
    for sctp in (SctpPeer(addresses=(ELSEWHERE,)), SctpPeer(peer_addresses=(ELSEWHERE,))):
        with pytest.raises(Unfit, match=r"N2 to 192\.0\.2\.1 would run unprotected"):
            N2Peer(sctp=sctp)
    assert N2Peer(sctp=SctpPeer(peer_addresses=(ELSEWHERE,)), insecure=True).insecure


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("transport: udp", 'radio.transport: unknown transport "udp" (expected one of auto, tcp, sctp)'),
        ("sctp: {addresses: [cell.example.com]}", 'radio.sctp.addresses: "cell.example.com" is no IP address'),
        ("sctp: {rto_min: 3}", "radio.sctp.rto_initial: must be from rto_min (3) to rto_max (5)"),
        ("sctp: {udp_port: 70000}", "radio.sctp.udp_port: expected a whole number from 0 to 65535"),
    ],
)
def test_a_mistake_is_told(lines: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "ran.yaml"
    file.write_text(f"plmn: 001-01\nradio:\n  {lines}\n")
    with pytest.raises(ConfigError) as told:
        load_ran(file)
    assert said in str(told.value)


def test_what_a_file_says_arrives(tmp_path: Path) -> None:
    file = tmp_path / "ran.yaml"
    file.write_text(
        "plmn: 001-01\n"
        "cp: {transport: sctp, sctp: {addresses: [127.0.0.3], peer_addresses: ['::1'], heartbeat: 2, max_init: 9}}\n"
    )
    settings = load_ran(file)
    assert settings.radio.transport is Carrier.AUTO
    assert settings.cp.transport is Carrier.SCTP
    expected = SctpPeer(addresses=(Host("127.0.0.3"),), peer_addresses=(Host("::1"),), heartbeat=2.0, max_init=9)
    assert settings.cp.sctp == expected
