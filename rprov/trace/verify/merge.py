"""One NAS of a UE from all records of it: what the radio carried, what N2 carried, and the EAP packets beside them.

A message that has crossed both links must have stayed the same. Where records differ, a third one decides which is
wrong; without one, the later frame is named, and the other in words.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from rprov.errors import DecodeError
from rprov.security.envelope import PlainPdu, parse_pdu
from rprov.trace.eap_seen import eap_of
from rprov.trace.verify.align import Copy, align
from rprov.trace.verify.ledger import Ledger
from rprov.wire.nas_asn1 import decode_nas, encode_nas


@dataclass(slots=True)
class Carried:
    """One NAS PDU, and where it was recorded."""

    uplink: bool
    octets: bytes
    """What is taken for true."""
    copies: list[Copy]
    """Its records that agree with that."""
    suspect: Copy | None = None
    """A record that does not, where nothing has decided yet which one is right."""

    @property
    def at(self) -> float:
        """When it was first recorded, in seconds since 1970."""
        return min(self.copies).at

    @property
    def frame(self) -> int:
        """The first frame that has it."""
        return min(copy.frame for copy in self.copies)


@dataclass(slots=True)
class Sources:
    """What each link has carried in one direction."""

    uplink: bool
    radio: list[Copy] = field(default_factory=list)
    n2: list[Copy] = field(default_factory=list)


def merge(sources: Sequence[Sources], eap: Sequence[Copy], ledger: Ledger, *, whole: bool) -> list[Carried]:
    """Put the records together, in the order of the capture.

    `whole` says that nothing more comes: what has no counterpart then is a fault where both links were recorded.
    """
    witnesses = [copy.octets for copy in eap]
    merged: list[Carried] = []
    for source in sources:
        both = bool(source.radio) and bool(source.n2)
        for pair in align(source.radio, source.n2):
            radio, n2 = pair.one, pair.other
            if radio is not None and n2 is not None:
                if whole and (radio.frame > n2.frame) is source.uplink:
                    ledger.loose(min(radio.frame, n2.frame), "a NAS message that was passed on before it came")
                merged.append(_joined(source.uplink, radio, n2, witnesses, ledger if whole else Ledger()))
            elif (alone := radio or n2) is not None and (whole or not both or radio is not None):
                if whole and both:
                    link = "N2" if radio is not None else "the radio"
                    ledger.loose(alone.frame, f"a NAS message that {link} does not carry")
                merged.append(Carried(source.uplink, alone.octets, [alone]))
    merged.sort(key=lambda item: item.frame)
    return merged


def _joined(uplink: bool, radio: Copy, n2: Copy, witnesses: list[bytes], ledger: Ledger) -> Carried:
    if radio.octets == n2.octets:
        for copy in (radio, n2):
            ledger.cover(copy.frame, copy.offset, len(copy.octets), "radio and N2")
        return Carried(uplink, radio.octets, [radio, n2])
    first, second = sorted((radio, n2))
    wrong = _unreadable(first, second) or _unlike_witness(first, second, witnesses)
    if wrong is None:
        ledger.fault(
            second.frame,
            f"a NAS message that is not the same on radio and N2 (the other record of it is in frame {first.frame})",
        )
        return Carried(uplink, first.octets, [first], second)
    right = second if wrong is first else first
    ledger.fault(wrong.frame, f"a NAS message that is not the same on radio and N2; frame {right.frame} has it right")
    return Carried(uplink, right.octets, [right])


def _unreadable(*copies: Copy) -> Copy | None:
    """Find the one that is no message, if it is one alone."""
    bad = [copy for copy in copies if not _is_message(copy.octets)]
    return bad[0] if len(bad) == 1 else None


def _is_message(octets: bytes) -> bool:
    try:
        pdu = parse_pdu(octets)
        if not isinstance(pdu, PlainPdu):
            return True
        return encode_nas(decode_nas(pdu.message)) == pdu.message
    except DecodeError:
        return False


def _unlike_witness(first: Copy, second: Copy, witnesses: list[bytes]) -> Copy | None:
    """Find the one whose EAP packet was recorded differently beside it."""
    packets = [_eap(copy.octets) for copy in (first, second)]
    known = [packet is not None and packet in witnesses for packet in packets]
    if known == [True, False] and packets[1] is not None:
        return second
    if known == [False, True] and packets[0] is not None:
        return first
    return None


def _eap(octets: bytes) -> bytes | None:
    try:
        pdu = parse_pdu(octets)
        found = eap_of(decode_nas(pdu.message if isinstance(pdu, PlainPdu) else pdu.payload))
    except DecodeError:
        return None
    return None if found is None else found.packet


def check_eap(carried: Sequence[Carried], eap: Sequence[Copy], radio: AbstractSet[int], ledger: Ledger) -> None:
    """Hold the EAP records against the messages beside which they stand; `radio` are the frames of that link."""
    if not eap:
        return
    told = [Copy(item.frame, 0, packet) for item in carried if (packet := _eap(item.octets)) is not None]
    copies = {item.frame: item.copies for item in carried}
    behind = _behind(carried, radio, {copy.frame for copy in eap})
    for pair in align(told, eap):
        if pair.other is None and pair.one is not None:
            ledger.loose(pair.one.frame, "an EAP packet that has no record of its own")
        elif pair.one is None and pair.other is not None:
            ledger.loose(pair.other.frame, "an EAP packet that no message has carried")
        elif pair.one is not None and pair.other is not None:
            if pair.one.octets != pair.other.octets:
                ledger.fault(pair.other.frame, "an EAP packet that is not the one in the message beside it")
            elif pair.other.frame not in behind[pair.one.frame]:
                ledger.loose(pair.other.frame, "an EAP packet that does not stand behind the message that carried it")
            ledger.cover(pair.other.frame, pair.other.offset, len(pair.other.octets), "the message that carried it")
            for copy in copies[pair.one.frame]:
                offset, length = _inside(pair.one.octets, copy.octets)
                ledger.cover(copy.frame, copy.offset + offset, length, "the EAP record")


def _behind(carried: Sequence[Carried], radio: AbstractSet[int], eap: AbstractSet[int]) -> dict[int, set[int]]:
    """Say for each message where its EAP record may stand: behind its record on that link which most stand behind."""
    links: dict[bool, dict[int, set[int]]] = {True: {}, False: {}}
    for item in carried:
        for on_radio, found in links.items():
            found[item.frame] = {copy.frame + 1 for copy in item.copies if (copy.frame in radio) is on_radio}
    return max(links.values(), key=lambda found: sum(bool(places & eap) for places in found.values()))


def _inside(packet: bytes, message: bytes) -> tuple[int, int]:
    """Find the octets of a message that belong to a packet in it wholly; in UPER it may begin at any bit."""
    bits = int.from_bytes(message)
    for shift in range(8):
        aligned = (bits << shift).to_bytes(len(message) + 1)
        at = aligned.find(packet)
        if at > 0:
            # With a shift, the packet ends within an octet, and begins within the one before.
            return (at - 1, len(packet)) if not shift else (at, len(packet) - 1)
    return 0, 0
