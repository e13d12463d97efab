"""What each record of a capture is: the tap that a node's links have, writing into a file. `docs/trace.md` tells it.

Control messages and EAP are "upper PDUs" of Wireshark's; datagrams and streams are IP packets.
"""

import time
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from types import MappingProxyType

from rprov.model.tap import End, LinkName
from rprov.trace import raw_ip, upper_pdu
from rprov.trace.capture_file import CaptureFile
from rprov.trace.eap_seen import eap_on_n2, eap_on_radio
from rprov.trace.pcapng_write import interface, packet
from rprov.trace.redaction import redact_n2, redact_radius
from rprov.trace.upper_pdu import UpperPdu

REDACTED = "redacted"
"""The comment of a record in which a key was made zeros."""

LINK_TYPES: Mapping[LinkName, int] = MappingProxyType(
    {
        LinkName.RADIO: upper_pdu.LINK_TYPE,
        LinkName.N2: upper_pdu.LINK_TYPE,
        LinkName.EAP: upper_pdu.LINK_TYPE,
        LinkName.RADIO_USER: raw_ip.LINK_TYPE,
        LinkName.N3: raw_ip.LINK_TYPE,
        LinkName.AAA: raw_ip.LINK_TYPE,
        LinkName.ES9: raw_ip.LINK_TYPE,
    }
)
"""Every link and what its records are, in the order of the interfaces."""

DISSECTORS: Mapping[LinkName, str] = MappingProxyType(
    {LinkName.RADIO: "rprov.radio", LinkName.N2: "rprov.n2", LinkName.EAP: "eap"}
)
"""What Wireshark reads the records of a link with."""

_PLACES = {link: place for place, link in enumerate(LINK_TYPES)}


def interfaces() -> bytes:
    """Give the blocks that stand at the beginning of every capture."""
    return b"".join(interface(kind, link) for link, kind in LINK_TYPES.items())


class CaptureTap:
    """Writes the links that it was made for into a capture; of others it writes nothing."""

    def __init__(self, file: CaptureFile, links: Iterable[LinkName], *, with_keys: bool) -> None:
        """Keep keys that cross a link in clear only `with_keys`."""
        self._file = file
        self._links = frozenset(links)
        self._with_keys = with_keys
        # Once: a RAN sees each EAP packet on two links.
        self._eap_from = LinkName.RADIO if LinkName.RADIO in self._links else LinkName.N2
        self._received: dict[tuple[End, End], int] = {}

    def message(
        self, link: LinkName, local: End, peer: End, *, inbound: bool, stream: int, ppid: int, octets: bytes
    ) -> None:
        """Write one message of a control link, and the EAP packet in it."""
        at = time.time_ns()
        source, destination = (peer, local) if inbound else (local, peer)
        if link in self._links:
            shown, redacted = (octets, False) if self._with_keys or link is not LinkName.N2 else redact_n2(octets)
            record = UpperPdu(DISSECTORS[link], source, destination, shown, stream, ppid)
            self._write(link, at, record.encode(), inbound, REDACTED if redacted else None)
        if LinkName.EAP in self._links and link is self._eap_from:
            seen = eap_on_n2(octets) if link is LinkName.N2 else eap_on_radio(octets)
            if seen is not None:
                # The UE's id in place of its port: two UEs of one association are two conversations.
                if seen.from_ue:
                    source = source[0], seen.ue
                else:
                    destination = destination[0], seen.ue
                record = UpperPdu(DISSECTORS[LinkName.EAP], source, destination, seen.packet, stream, ppid, seen.ue)
                self._write(LinkName.EAP, at, record.encode(), inbound, None)

    def datagram(self, link: LinkName, local: End, peer: End, *, inbound: bool, octets: bytes) -> None:
        """Write one UDP datagram."""
        if link not in self._links:
            return
        at = time.time_ns()
        shown, redacted = (octets, False) if self._with_keys or link is not LinkName.AAA else redact_radius(octets)
        source, destination = (peer, local) if inbound else (local, peer)
        record = raw_ip.udp_packet(source, destination, shown)
        self._write(link, at, record, inbound, REDACTED if redacted else None)

    def segment(self, link: LinkName, local: End, peer: End, *, inbound: bool, at: int, octets: bytes) -> None:
        """Write a piece of a byte stream, as TCP would carry it."""
        if link not in self._links or not _is_ip(local, peer):
            return
        now = time.time_ns()
        source, destination = (peer, local) if inbound else (local, peer)
        acknowledged = self._received.get((destination, source), 0)
        for start in range(0, len(octets), raw_ip.LARGEST_SEGMENT):
            piece = octets[start : start + raw_ip.LARGEST_SEGMENT]
            self._write(
                link, now, raw_ip.tcp_packet(source, destination, at + start, acknowledged, piece), inbound, None
            )
        self._received[source, destination] = at + len(octets)
        if not octets:  # the stream has ended
            for way in ((source, destination), (destination, source)):
                self._received.pop(way, None)

    def _write(self, link: LinkName, at: int, octets: bytes, inbound: bool, comment: str | None) -> None:
        self._file.record(packet(_PLACES[link], at, octets, inbound=inbound, comment=comment))


def _is_ip(*ends: End) -> bool:
    try:
        for host, _ in ends:
            ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
