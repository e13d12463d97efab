"""Where packets of a session for provisioning may go, packet by packet."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from rprov.model.kinds import Fqdn
from rprov.model.session import ProvisioningProtocol, ProvisioningServer, SessionKind
from rprov.session.ip.packet import encode_ipv4
from rprov.trace.verify.align import Copy
from rprov.trace.verify.ledger import Ledger
from rprov.trace.verify.user import UserStory
from rprov.wire.messages import PduSessionAccept

UE, RESOLVER, SERVER, OTHER = "10.45.0.2", "10.45.0.1", "203.0.113.10", "198.51.100.7"
UDP, TCP, ICMP = 17, 6, 1
SESSION = PduSessionAccept(
    1,
    SessionKind.PROVISIONING,
    IPv4Address(UE),
    IPv4Address(RESOLVER),
    1400,
    600,
    100_000,
    (ProvisioningServer(ProvisioningProtocol.SGP22, Fqdn("smdp.example.com"), (IPv4Address(SERVER),), 443),),
)


def packet(source: str, destination: str, protocol: int, ports: tuple[int, int] = (40_000, 443)) -> bytes:
    """An IP packet whose payload begins with two ports."""
    payload = ports[0].to_bytes(2) + ports[1].to_bytes(2) + bytes(16)
    return encode_ipv4(IPv4Address(source).packed, IPv4Address(destination).packed, protocol, payload)


def faults(octets: bytes, *, uplink: bool, tunnelled: bool = False, session: PduSessionAccept = SESSION) -> list[str]:
    story = UserStory(Ledger(), lossy=False)
    side = story.tunnelled if tunnelled else story.packets
    side[uplink].append(Copy(7, 40, octets))
    assert story.restricted(session) == 1
    assert all(fault.frame == 7 for fault in story.ledger.faults)
    return [fault.what for fault in story.ledger.faults]


@pytest.mark.parametrize(
    ("octets", "uplink"),
    [
        (packet(UE, SERVER, TCP), True),
        (packet(SERVER, UE, TCP, (443, 40_000)), False),
        (packet(UE, RESOLVER, UDP, (40_000, 53)), True),
        (packet(RESOLVER, UE, UDP, (53, 40_000)), False),
        (packet(RESOLVER, UE, ICMP), False),
    ],
)
def test_what_a_session_for_provisioning_is_for(octets: bytes, uplink: bool) -> None:
    assert faults(octets, uplink=uplink) == []


@pytest.mark.parametrize("tunnelled", [False, True])
@pytest.mark.parametrize(
    ("octets", "uplink", "words"),
    [
        (packet(UE, OTHER, TCP), True, f"with {OTHER} port 443"),
        (packet(OTHER, UE, TCP, (443, 40_000)), False, f"with {OTHER} port 443"),
        (packet(UE, SERVER, TCP, (443, 8080)), True, f"with {SERVER} port 8080"),
        (packet(UE, SERVER, UDP), True, f"with {SERVER} port 443"),
        (packet(UE, RESOLVER, UDP, (53, 443)), True, f"with {RESOLVER} port 443"),
        (packet(UE, OTHER, UDP, (40_000, 53)), True, f"with {OTHER} port 53"),
        (packet(UE, RESOLVER, ICMP), True, f"with {RESOLVER}"),
        (packet(OTHER, SERVER, TCP), True, f"the address {OTHER}, which is {UE}"),
        (b"no packet", True, "no IP packet"),
    ],
)
def test_where_it_must_not_go(octets: bytes, uplink: bool, words: str, tunnelled: bool) -> None:
    (found,) = faults(octets, uplink=uplink, tunnelled=tunnelled)
    assert words in found


def test_another_server_of_the_session_is_one() -> None:
    (server,) = SESSION.provisioning_servers
    more = replace(SESSION, provisioning_servers=(replace(server, addresses=(*server.addresses, IPv4Address(OTHER))),))
    assert faults(packet(UE, OTHER, TCP), uplink=True, session=more) == []
