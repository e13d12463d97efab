"""EAP-TLS packets of a capture as flights of TLS: fragments put together, acknowledgements left out (RFC 5216)."""

from collections.abc import Iterator, Sequence

from rprov.errors import DecodeError
from rprov.trace.verify.tls_open import Flight
from rprov.wire import eap
from rprov.wire.eap_tls import decode_fragment


class PacketFault(DecodeError):
    """What is wrong with a packet, and which one it is, counted from 0."""

    def __init__(self, place: int, what: str) -> None:
        self.place = place
        super().__init__(what)


def flights_of(packets: Sequence[bytes]) -> Iterator[tuple[int, Flight]]:
    """Give each flight with the place of the packet that has completed it; raises `PacketFault`.

    Packets of other EAP types are passed over.
    """
    waiting = b""
    for place, packet in enumerate(packets):
        try:
            decoded = eap.decode(packet)
            if not isinstance(decoded, eap.Request | eap.Response) or decoded.type != eap.EapType.TLS:
                continue
            piece = decode_fragment(decoded.data)
        except DecodeError as error:
            raise PacketFault(place, str(error)) from error
        if not piece.data:
            continue  # a start, or the word that a fragment has arrived
        waiting += piece.data
        if not piece.more:
            yield place, Flight(isinstance(decoded, eap.Response), waiting)
            waiting = b""
