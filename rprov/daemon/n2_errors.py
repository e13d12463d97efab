"""What a node says on N2 about a UE that it does not know, and how it takes that word (TS 38.413 8.7.4).

Without it the other end would speak of that UE until its timers run out.
"""

from rprov.causes import Cause
from rprov.errors import DecodeError
from rprov.model.numbers import Ppid
from rprov.transport.link import Link, stream_of
from rprov.wire.codec import LinkCodec
from rprov.wire.link import ErrorIndication, LinkMessage, N2Frame, N2Kind, UeContextReleaseComplete

_LAST_WORDS = (ErrorIndication, UeContextReleaseComplete)
"""Nobody waits for an answer to these; to answer the first would never end."""


async def say_unknown(link: Link, frame: N2Frame, codec: LinkCodec) -> None:
    """Say that nobody here knows the UE of a frame, unless that says nothing that wants an answer."""
    if frame.ran_ue_id == 0 or (frame.kind is N2Kind.CONTROL and isinstance(_message(frame, codec), _LAST_WORDS)):
        return
    answer = codec.encode(ErrorIndication(Cause.IDENTITY_UNKNOWN))
    octets = N2Frame(frame.ran_ue_id, frame.cp_ue_id, N2Kind.CONTROL, answer).encode()
    await link.send(stream_of(frame.ran_ue_id, link.streams), Ppid.N2, octets)


def is_unknown_there(frame: N2Frame, codec: LinkCodec) -> bool:
    """Say whether the other end tells us that it does not know this UE."""
    return frame.kind is N2Kind.CONTROL and _message(frame, codec) == ErrorIndication(Cause.IDENTITY_UNKNOWN)


def _message(frame: N2Frame, codec: LinkCodec) -> LinkMessage | None:
    try:
        return codec.decode(frame.payload)
    except DecodeError:
        return None
