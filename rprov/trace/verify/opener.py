"""What a capture says with keys: shows NAS, RRC and user packets deciphered, for whoever lists its messages.

Opens what the check has verified, and nothing else: a message whose MAC is wrong stays closed.
"""

from pathlib import Path

from rprov.errors import DecodeError
from rprov.trace.capture import Captured
from rprov.trace.decode import Opener
from rprov.trace.keylog import Keys
from rprov.trace.reading import Reading, packet_fields, read_message, read_nas, read_value
from rprov.trace.verify.check import check
from rprov.trace.verify.conclude import UeCheck


def opener(path: Path, keys: Keys) -> Opener:
    """Read a capture with keys, those in the capture itself included; raises `DecodeError`, and `OSError`."""
    opened: dict[int, Reading] = {}
    packets: dict[int, bytes] = {}
    for ue in check(path, keys).ues:
        opened |= _control(ue)
        packets |= {copy.frame: copy.octets for copies in ue.user.packets.values() for copy in copies}

    def shown(seen: Captured) -> Reading | None:
        if seen.frame in packets:
            return _user(seen, packets[seen.frame])
        return opened.get(seen.frame)

    return shown


def _control(ue: UeCheck) -> dict[int, Reading]:
    found: dict[int, Reading] = {}
    for rrc in ue.srb.rrc:
        closed = read_message(rrc.seen.captured)
        if closed.protected:
            found[rrc.seen.frame] = read_value(rrc.message, closed.fields["security"])
    for item in ue.nas.read:
        if item.protected:
            reading = read_value(item.message, read_nas(item.carried.octets).fields["security"])
        else:
            reading = read_value(item.message)
        found |= {copy.frame: reading for copy in item.carried.copies}
    return found


def _user(seen: Captured, packet: bytes) -> Reading:
    closed = read_message(seen)
    try:
        inner = packet_fields(packet)
    except DecodeError as error:
        inner = {"error": str(error)}
    return Reading(closed.message, closed.fields | {"packet": inner}, True, closed.value)
