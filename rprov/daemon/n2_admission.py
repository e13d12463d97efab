"""How a RAN and its CP take each other when a link of N2 begins: both ends of that dialogue. Knows no key."""

import asyncio

from rprov.causes import Cause
from rprov.crypto.x509_nodes import ran_certificate_name
from rprov.errors import DecodeError, Refused
from rprov.model.identifiers import Plmn
from rprov.transport.link import Link, LinkLost
from rprov.wire.codec import LinkCodec
from rprov.wire.link import N2SetupFailure, N2SetupRequest, N2SetupResponse, decode_n2_frame


def refusal_of(request: N2SetupRequest, link: Link, plmn: Plmn) -> Cause | None:
    """Say why the CP refuses a RAN, if it does.

    A link without names in a certificate is one that nothing protects: then the configuration has said so in as many
    words, and the RAN may call itself what it likes.
    """
    if request.plmn != plmn:
        return Cause.PLMN_NOT_ALLOWED
    names = link.peer_names
    if names is not None and ran_certificate_name(request.ran_name, plmn) not in map(str.lower, names):
        return Cause.NODE_NAME_MISMATCH
    return None


async def accepted(link: Link, codec: LinkCodec, plmn: Plmn, seconds: float) -> N2SetupResponse:
    """Wait for the CP's word; raises `LinkLost`, `DecodeError`, and `Refused` by either side."""
    try:
        async with asyncio.timeout(seconds):
            answer = await link.receive()
    except TimeoutError:
        raise LinkLost(f"the CP at {link.peer} did not answer in {seconds:g} s") from None
    if answer is None:
        hint = "; it may want TLS (cp.tls)" if link.peer_names is None else ""
        raise LinkLost(f"the CP closed the link before it answered{hint}")
    message = codec.decode(decode_n2_frame(answer.payload).payload)
    if isinstance(message, N2SetupFailure):
        raise Refused(message.cause, "the CP refuses this RAN")
    if not isinstance(message, N2SetupResponse):
        raise DecodeError(f"the CP answered the set-up with {type(message).__name__}")
    if message.plmn != plmn:
        raise Refused(Cause.PLMN_NOT_ALLOWED, f"the CP is of {message.plmn}, this RAN of {plmn}")
    return message
