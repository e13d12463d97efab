"""Which members of which messages may change in a capture without anybody noticing, found by changing them.

    uncovered(made)      {("n2", "SessionResourceSetupRequest", "uplink.teid"), …}

Changes every bit that the coverage does not claim, and names what the bits that are not noticed mean.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from doubles.traced_runs import Made

from rprov.trace.capture import Capture, Captured
from rprov.trace.pcapng_read import RawPacket
from rprov.trace.reading import read_message

Uncovered = set[tuple[str, str, str]]
CONTROL = frozenset({"radio", "n2", "eap"})


def covered(made: Made) -> set[tuple[int, int]]:
    """Frame and octet of everything that the coverage claims."""
    spans = made.check().ledger.spans
    return {(span.frame, at) for span in spans for at in range(span.offset, span.offset + span.length)}


def changed(octets: bytes, at: int, bit: int) -> bytes:
    """The same but for one bit."""
    made = bytearray(octets)
    made[at] ^= 1 << bit
    return bytes(made)


def uncovered(made: Made) -> Uncovered:
    """Change bits, one at a time, and name what was not noticed: link, message, member."""
    whole, claimed = made.pcap.read_bytes(), covered(made)
    capture = Capture(made.pcap)
    messages = {seen.frame: seen for seen in capture.messages()}
    found: Uncovered = set()
    for packet in capture.packets():
        if packet.interface.name not in CONTROL:
            continue
        for at in range(len(packet.octets)):
            if (packet.frame, at) in claimed:
                continue
            for bit in range(8):
                if made.check(changed(whole, packet.offset + at, bit)).ledger.first is None:
                    found |= set(_named(messages[packet.frame], packet, at, bit))
    return found


def _named(seen: Captured, packet: RawPacket, at: int, bit: int) -> Iterator[tuple[str, str, str]]:
    """What a bit of a packet means: the members that are others when it is changed."""
    head = len(packet.octets) - len(seen.octets)
    before = read_message(seen)
    after = read_message(replace(seen, octets=changed(seen.octets, at - head, bit)))
    for member in _differences(before.fields, after.fields):
        yield str(seen.link), before.message, member


def _differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from _differences(one.get(key), other.get(key), f"{path}.{key}".strip("."))
    elif one != other:
        yield path
