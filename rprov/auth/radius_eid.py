"""Reads from an Access-Accept whose certificate the AAA server has seen. Believes nothing that can be read two ways.

    89049032…                                       the digits alone: `rprov aaa`, or a server that is told to
    89049032…@rsp.mnc001.mcc001.3gppnetwork.org     an identity
    /C=ES/O=RSP Test EUM/serialNumber=89049032…     the subject of the certificate, as servers on OpenSSL print it
    CN=…,O=RSP Test EUM,serialNumber=89049032…

An attribute that holds something else (the anonymous identity, sent back) says nothing. Two that say different things,
or none that says anything, let nobody in: without the EID of the certificate its owner could claim any other.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from rprov.causes import Cause
from rprov.errors import DecodeError, Refused
from rprov.model.aaa_client import EidAttribute
from rprov.model.identifiers import Eid
from rprov.wire.radius import Kind, Packet

_KINDS: Mapping[EidAttribute, Kind] = MappingProxyType(
    {
        EidAttribute.USER_NAME: Kind.USER_NAME,
        EidAttribute.CHARGEABLE_USER_IDENTITY: Kind.CHARGEABLE_USER_IDENTITY,
        EidAttribute.CLASS: Kind.CLASS,
    }
)
_IDENTITY = re.compile(rb"([0-9]{32})(?:@[^@]*)?")
_KEY = b"serialnumber="
_IN_SUBJECT = re.compile(rb"(?:^|[/,+] ?)serialnumber=([0-9]{32})(?=$|[/,+])", re.IGNORECASE)


def certificate_eid(packet: Packet, attributes: Iterable[EidAttribute]) -> Eid:
    """Find the EID of the certificate; raises `Refused` where the answer does not say it, or says two."""
    values = (value for attribute in attributes for value in packet.values(_KINDS[attribute]))
    found = {eid for eid in map(_eid_in, values) if eid is not None}
    if len(found) != 1:
        said = "does not say" if not found else "says in two ways"
        raise Refused(Cause.NETWORK_FAILURE, f"the AAA server {said} whose certificate it has seen")
    return found.pop()


def _eid_in(value: bytes) -> Eid | None:
    match = _IDENTITY.fullmatch(value)
    if match is None and value.lower().count(_KEY) == 1:
        # A second one may be part of a name that its owner has chosen: then neither counts.
        match = _IN_SUBJECT.search(value)
    if match is None:
        return None
    try:
        return Eid.parse(match[1].decode("ascii"))
    except DecodeError:
        return None
