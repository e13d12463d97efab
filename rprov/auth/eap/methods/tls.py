"""EAP-TLS with TLS 1.3 (RFC 9190) or 1.2 (RFC 5216), both ends. Knows fragments, the commitment and the exporter.

    server                                        peer
      Start ------------------------------------->
      <------------------------------ ClientHello
      ServerHello … Finished -------------------->  judges the network's certificate
      <-------- Certificate, CertificateVerify, Finished
      judges the device's certificate; Proved -> the owner authorises
      0x00 -------------------------------------->  only now are the keys good
      <------------------------------------- empty
      Done: EAP-Success

With TLS 1.2 the server's Finished stands where the 0x00 does: it is held back until the owner has authorised.
Refused by the server's judge: the TLS alert in a request, then EAP-Failure. Refused by the owner after `Proved`:
close_notify in place of the alert, for OpenSSL lets nobody choose an alert outside the handshake. A resumed handshake
has one flight less and no certificates; all the rest is as above.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from rprov.auth.eap.method import Ask, Deny, Done, GaveUp, PeerStep, Proved, Reply, ServerStep
from rprov.causes import Cause
from rprov.crypto.hierarchy import Emsk, Msk
from rprov.crypto.tls import TlsEngine, TlsFailed
from rprov.errors import DecodeError, Misuse
from rprov.model.tls import TlsVersion
from rprov.wire.eap import EapType
from rprov.wire.eap_tls import (
    ACKNOWLEDGEMENT,
    START_FRAGMENT,
    Fragment,
    Reassembly,
    decode_fragment,
    encode_fragment,
    split,
)

KEY_LABEL = b"EXPORTER_EAP_TLS_Key_Material"  # RFC 9190 2.3
KEY_CONTEXT = bytes((EapType.TLS,))
KEY_LENGTH = 128
"""MSK and EMSK come from one export: asking for fewer octets gives different ones."""

KEY_LABEL_1_2 = b"client EAP encryption"  # RFC 5216 2.3, with no context at all

_RECORD_HEADER = 5

COMMITMENT = b"\x00"  # RFC 9190 2.5: the protected success indication


class _Phase(Enum):
    """Where an exchange is; the two ends share the words."""

    START = auto()
    HANDSHAKE = auto()
    DECISION = auto()  # server: the owner decides
    COMMITMENT = auto()  # server: sent, to be acknowledged; peer: to come
    ALERTED = auto()  # the other side gets, or sent, an alert: nothing but the end follows


class _Fragments:
    """Both directions of one end: what is still to be sent, and what has come so far."""

    __slots__ = ("_incoming", "_outgoing", "_packet_size")

    def __init__(self, packet_size: int) -> None:
        self._packet_size = packet_size
        self._outgoing: deque[Fragment] = deque()
        self._incoming = Reassembly()

    def send(self, message: bytes) -> bytes:
        """Begin to send a TLS message; give the first type data."""
        self._outgoing.extend(split(message, self._packet_size))
        return self._next()

    def receive(self, data: bytes) -> bytes | Fragment:
        """Take type data: give a complete message, or the fragment to send next. Raises `DecodeError`."""
        fragment = decode_fragment(data)
        if self._outgoing:
            if not fragment.is_acknowledgement:
                raise DecodeError("an EAP-TLS packet where an acknowledgement was due")
            return self._outgoing.popleft()
        message = self._incoming.add(fragment)
        return ACKNOWLEDGEMENT if message is None else message

    def _next(self) -> bytes:
        return encode_fragment(self._outgoing.popleft())


def _keys(engine: TlsEngine) -> tuple[Msk, Emsk]:
    """MSK and EMSK (RFC 9190 2.3, RFC 5216 2.3)."""
    if engine.version is TlsVersion.TLS_1_2:
        material = engine.export(KEY_LABEL_1_2, KEY_LENGTH, None)
    else:
        material = engine.export(KEY_LABEL, KEY_LENGTH, KEY_CONTEXT)
    return Msk(material[:64]), Emsk(material[64:])


def _nothing() -> None:
    """Do nothing: nobody wants to know."""


def _has_whole_records(message: bytes) -> bool:
    """Whether a TLS message ends where its last record does (RFC 8446 5.1: type, version, length)."""
    position = 0
    while position + _RECORD_HEADER <= len(message):
        position += _RECORD_HEADER + int.from_bytes(message[position + 3 : position + _RECORD_HEADER])
    return position == len(message)


class TlsServerMethod:
    """The server's half. Driven by type data of responses, and by its owner once the peer is proved."""

    type = EapType.TLS

    def __init__(self, engine: TlsEngine, packet_size: int, committed: Callable[[], None] = _nothing) -> None:
        """Take whom to tell that the server has committed itself."""
        self._engine = engine
        self._committed = committed
        self._fragments = _Fragments(packet_size)
        self._phase = _Phase.HANDSHAKE
        self._unsent = b""
        self._keys: tuple[Msk, Emsk] | None = None

    def begin(self) -> ServerStep:
        """Give the Start."""
        return Ask(encode_fragment(START_FRAGMENT))

    def on_data(self, data: bytes) -> ServerStep:
        """Take the type data of a response."""
        try:
            received = self._fragments.receive(data)
        except DecodeError as error:
            return GaveUp(error.cause, str(error))
        if isinstance(received, Fragment):
            return Ask(encode_fragment(received))
        try:
            match self._phase:
                case _Phase.HANDSHAKE:
                    return self._on_handshake(received)
                case _Phase.COMMITMENT:
                    return self._on_acknowledged(received)
                case _:
                    return GaveUp(Cause.EAP_FAILED, "the alert was acknowledged")
        except TlsFailed as failure:
            return self._end(GaveUp(failure.cause, failure.detail), failure.flight)

    def authorise(self) -> ServerStep:
        """Export the keys, then commit: after the 0x00 the server must not fail any more."""
        self._check_decision()
        try:
            self._keys = _keys(self._engine)
            flight = self._unsent
            if self._engine.version is TlsVersion.TLS_1_3:
                flight += self._engine.send(COMMITMENT)
        except TlsFailed as failure:
            return GaveUp(failure.cause, failure.detail)
        self._phase = _Phase.COMMITMENT
        self._committed()
        return Ask(self._fragments.send(flight))

    def refuse(self, cause: Cause) -> ServerStep:
        """Say goodbye in TLS, then give up with the owner's cause."""
        self._check_decision()
        why = GaveUp(cause, "refused after the certificate was proved")
        if self._engine.version is TlsVersion.TLS_1_2:
            return why  # whatever TLS could say now would begin with our Finished, which is the success
        try:
            flight = self._unsent + self._engine.close_notify()
        except TlsFailed as failure:
            flight = failure.flight
        return self._end(why, flight)

    def close(self) -> None:
        """Free the TLS connection."""
        self._engine.close()

    def _on_handshake(self, message: bytes) -> ServerStep:
        progress = self._engine.feed(message)
        if progress.data or progress.closed:
            return GaveUp(Cause.EAP_FAILED, "application data or a goodbye in the middle of the handshake")
        if self._engine.done and self._engine.peer is not None:
            # Tickets, if OpenSSL makes any, travel with the commitment, in one flight.
            self._unsent = progress.flight
            self._phase = _Phase.DECISION
            return Proved(self._engine.peer, self._engine.resumed)
        if not progress.flight:
            return GaveUp(Cause.EAP_FAILED, "an incomplete TLS flight")
        return Ask(self._fragments.send(progress.flight))

    def _on_acknowledged(self, message: bytes) -> ServerStep:
        """Take the answer to the commitment: empty, or a clean close_notify, as some supplicants have it."""
        if message:
            progress = self._engine.feed(message)
            if not progress.closed or progress.data or progress.flight:
                return GaveUp(Cause.EAP_FAILED, "the commitment was answered with something else than nothing")
        if self._keys is None:
            raise Misuse("a commitment without keys")
        return Done(*self._keys)

    def _end(self, why: GaveUp, flight: bytes) -> ServerStep:
        if not flight:
            return why
        self._phase = _Phase.ALERTED
        return Ask(self._fragments.send(flight), ending=why)

    def _check_decision(self) -> None:
        if self._phase is not _Phase.DECISION:
            raise Misuse("nobody waits for a decision")


class TlsPeerMethod:
    """The peer's half. Driven by type data of requests."""

    type = EapType.TLS

    def __init__(self, engine: TlsEngine, packet_size: int, committed: Callable[[], None] = _nothing) -> None:
        """Take whom to tell that the server has committed itself with TLS 1.3; its tickets have come by then."""
        self._engine = engine
        self._committed = committed
        self._fragments = _Fragments(packet_size)
        self._phase = _Phase.START

    def on_data(self, data: bytes) -> PeerStep:
        """Take the type data of a request."""
        try:
            if self._phase is _Phase.START:
                return self._on_start(data)
            received = self._fragments.receive(data)
            if isinstance(received, Fragment):
                return Reply(encode_fragment(received))
            return self._on_message(received)
        except DecodeError as error:
            return self._deny(error.cause, str(error))
        except TlsFailed as failure:
            if failure.by_peer:
                # RFC 9190 2.1.4: a server's alert is answered with nothing; its EAP-Failure follows
                return self._on_alert()
            return self._deny(failure.cause, failure.detail, failure.flight)

    def close(self) -> None:
        """Free the TLS connection."""
        self._engine.close()

    def _on_start(self, data: bytes) -> PeerStep:
        if not decode_fragment(data).start:
            return self._deny(Cause.EAP_FAILED, "EAP-TLS begins with a Start")
        self._phase = _Phase.HANDSHAKE
        return Reply(self._fragments.send(self._engine.start()))

    def _on_message(self, message: bytes) -> PeerStep:
        match self._phase:
            case _Phase.HANDSHAKE:
                return self._on_handshake(message)
            case _Phase.COMMITMENT:
                return self._on_commitment(message)
            case _:
                return Reply(encode_fragment(ACKNOWLEDGEMENT), refused=True)

    def _on_handshake(self, message: bytes) -> PeerStep:
        progress = self._engine.feed(message)
        if progress.data or progress.closed:
            # TLS lets a server speak before it has seen our certificate; a commitment then would be worth nothing.
            return self._deny(Cause.EAP_FAILED, "the server commits itself before it has seen our certificate")
        if self._engine.done and self._engine.version is TlsVersion.TLS_1_2:
            # Its Finished comes after ours: it has seen our certificate and taken it (RFC 5216 2.1.1).
            return Reply(encode_fragment(ACKNOWLEDGEMENT), *_keys(self._engine))
        if not progress.flight:
            return self._deny(Cause.EAP_FAILED, "an incomplete TLS flight")
        if self._engine.done:
            self._phase = _Phase.COMMITMENT
        return Reply(self._fragments.send(progress.flight))

    def _on_commitment(self, message: bytes) -> PeerStep:
        progress = self._engine.feed(message)
        if progress.closed:
            return self._on_alert()
        if progress.flight or progress.data not in (b"", COMMITMENT):
            return self._deny(Cause.EAP_FAILED, "the server sends something else than its commitment")
        if not progress.data and not _has_whole_records(message):
            # OpenSSL waits for the rest. An acknowledgement would be taken for that of the commitment.
            return self._deny(Cause.EAP_FAILED, "a TLS record that ends early")
        if not progress.data:
            return Reply(encode_fragment(ACKNOWLEDGEMENT))  # tickets may come before the commitment
        self._committed()
        return Reply(encode_fragment(ACKNOWLEDGEMENT), *_keys(self._engine))

    def _on_alert(self) -> PeerStep:
        self._phase = _Phase.ALERTED
        return Reply(encode_fragment(ACKNOWLEDGEMENT), refused=True)

    def _deny(self, cause: Cause, detail: str, flight: bytes = b"") -> PeerStep:
        return Deny(cause, detail, encode_fragment(Fragment(flight)))
