"""TLS as octets in, octets out: mutual certificates, one flight per call, the exporter. 1.3, and 1.2 where chosen.

Owns one connection over memory, and the documented exception to purity: OpenSSL has a clock and randomness of its own.
What connections share is in `tls_context.py`; how the peer is judged, in `tls_judgement.py`; private calls of
pyOpenSSL, in `tls_openssl.py`. Knows no EAP.

    context = TlsContext(Side.SERVER, credentials, anchors)      once: parsing keys costs more than a handshake
    engine = TlsEngine(context, judge)                           one per exchange
    engine.start() / engine.feed(octets) -> Progress             raises TlsFailed(flight, cause)
"""

from contextlib import suppress
from dataclasses import dataclass
from weakref import ref

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_ASN1, dump_certificate

from rprov.causes import Cause
from rprov.crypto.tls_context import Side, TlsContext
from rprov.crypto.tls_judgement import Again, Judge, Judgement, StatusJudge
from rprov.crypto.tls_openssl import (
    has_extended_master_secret,
    is_resumed,
    offer_session,
    session_octets,
    take_no_ticket,
)
from rprov.crypto.x509_path import parse_certificate
from rprov.errors import DecodeError, Misuse, Refused, RprovError
from rprov.model.secret import Secret
from rprov.model.tls import TlsVersion

_ROOM = 16384
"""Octets that are taken out of OpenSSL in one go; a flight has some 1,500. More room costs more than it holds."""

_MOST_HELLOS = 2
"""A client's flights before a server may answer a ticket: its hello, and another after a HelloRetryRequest."""

LARGEST_DATA = 64
"""Octets of application data in one call; EAP-TLS has one (RFC 9190 2.5)."""


class TlsFailed(RprovError):
    """The handshake or the connection is over: by the peer's alert, or with our own, which is in `flight`."""

    default_cause = Cause.EAP_FAILED

    def __init__(self, cause: Cause, detail: str, flight: bytes = b"", *, by_peer: bool = False) -> None:
        self.by_peer = by_peer
        self._cause = cause
        self.detail = detail
        self.flight = flight
        super().__init__(detail)

    @property
    def cause(self) -> Cause:
        """The judge's cause, or EAP_FAILED."""
        return self._cause


@dataclass(frozen=True, slots=True)
class Progress:
    """What one call gave: octets to send, application data received, whether the other side has closed."""

    flight: bytes
    data: bytes = b""
    closed: bool = False


class TlsSession(Secret):
    """What a client resumes with: OpenSSL's own form of a session, its ticket and keys in it."""


class TlsEngine:
    """One TLS connection over memory. Driven by octets from the peer and by its owner; dropped with `close()`."""

    __slots__ = ("_again", "_connection", "_context", "_done", "_hellos", "_judgement", "resumed")

    def __init__(
        self,
        context: TlsContext,
        judge: Judge,
        *,
        staple: bytes = b"",
        judge_status: StatusJudge | None = None,
        again: Again | None = None,
        session: TlsSession | None = None,
    ) -> None:
        """Begin one handshake. A server may staple an OCSP response; a client with `judge_status` asks for one.

        A client may offer a `session` of an earlier one. Without `again` no peer may resume.
        """
        self._context = context
        self._again = again
        self._hellos: list[bytes] = []
        self.resumed = False
        """Whether the handshake goes on from an earlier one, and that was judged good."""
        self._connection: SSL.Connection | None = context.connection()
        self._judgement = Judgement(judge, context.invalid, staple, judge_status)
        if judge_status is not None:
            self._connection.request_ocsp()
        # A weak reference: a forgotten engine frees its 40 KiB at once, not when cycles are collected.
        self._connection.set_app_data(ref(self._judgement))
        self._done = False
        if session is not None:
            offer_session(self._connection, session.octets)

    @property
    def peer(self) -> x509.Certificate | None:
        """The peer's certificate, from the moment it was judged good."""
        return self._judgement.peer

    @property
    def done(self) -> bool:
        """Whether the handshake is complete on this side and the peer's certificate was judged good."""
        return self._done

    @property
    def version(self) -> TlsVersion:
        """What was negotiated; says something once the handshake is complete."""
        return TlsVersion.TLS_1_2 if self._live.get_protocol_version() == SSL.TLS1_2_VERSION else TlsVersion.TLS_1_3

    def start(self) -> bytes:
        """Give the first flight of a client."""
        return self._proceed().flight

    def feed(self, octets: bytes) -> Progress:
        """Take one flight of the peer; raises `TlsFailed`."""
        if octets:
            if self._context.resumes and len(self._hellos) < _MOST_HELLOS and not self._done:
                self._hellos.append(octets)
            self._live.bio_write(octets)
        return self._proceed()

    def send(self, data: bytes) -> bytes:
        """Give the octets that carry application data, together with what the handshake still had to send."""
        try:
            self._live.send(data)
        except SSL.Error as error:
            raise self._failure(error) from None
        return self._drain()

    def close_notify(self) -> bytes:
        """Give the octets that say goodbye; the nearest to an alert of our own choice that OpenSSL offers here."""
        try:
            self._live.shutdown()
        except SSL.Error as error:
            raise self._failure(error) from None
        return self._drain()

    def export(self, label: bytes, length: int, context: bytes | None) -> bytes:
        """Export keying material (RFC 8446 7.5, RFC 5705 4); only after a complete handshake."""
        if not self._done:
            raise Misuse("keying material is exported after the handshake")
        try:
            return self._live.export_keying_material(label, length, context)
        except SSL.Error as error:
            raise self._failure(error) from None

    def session(self) -> TlsSession | None:
        """What resumes this connection later (client, after the server's tickets); None where it gave none."""
        octets = session_octets(self._live) if self._done else None
        return None if octets is None else TlsSession(octets)

    def close(self) -> None:
        """Free OpenSSL's memory now (40 KiB); the engine is of no use any more."""
        self._connection = None

    @property
    def _live(self) -> SSL.Connection:
        if self._connection is None:
            raise Misuse("a closed TLS engine was used")
        return self._connection

    def _proceed(self) -> Progress:
        """Let OpenSSL work on what it has."""
        data = b""
        closed = False
        try:
            if not self._done:
                self._shake_hands()
                self._finish_handshake()
            data = self._live.recv(LARGEST_DATA + 1)
            if len(data) > LARGEST_DATA:
                raise TlsFailed(Cause.EAP_FAILED, "more application data than EAP-TLS has", self._drain())
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            closed = True
        except SSL.Error as error:
            raise self._failure(error) from None
        return Progress(self._drain(), data, closed)

    def _shake_hands(self) -> None:
        try:
            self._live.do_handshake()
        except SSL.WantReadError:
            if self._context.side is Side.SERVER and not self._judgement.passed and is_resumed(self._live):
                self._look_again()
            raise
        if self._context.side is Side.CLIENT and is_resumed(self._live):
            try:
                self._resume()
            except Refused as refused:
                raise TlsFailed(refused.cause, refused.detail, self.close_notify()) from None

    def _look_again(self) -> None:
        """Decide on a client's ticket before anything is answered: where it is not good, the handshake is a full one.

        So whatever speaks against the client by now is found in its certificate, and leaves as an alert.
        """
        try:
            self._resume()
        except Refused:
            self._drain()
            self._connection = self._context.connection()
            self._connection.set_app_data(ref(self._judgement))
            take_no_ticket(self._connection)
            for hello in self._hellos:  # two, where the first met a HelloRetryRequest; that was the same as it is now
                self._drain()
                self._connection.bio_write(hello)
                with suppress(SSL.WantReadError):
                    self._connection.do_handshake()

    def _resume(self) -> None:
        """Judge the peer by the certificate of its full handshake; raises `Refused`."""
        certificate = self._live.get_peer_certificate()
        if certificate is None:
            raise Refused(self._context.invalid, "a session without a certificate")
        try:
            leaf = parse_certificate(dump_certificate(FILETYPE_ASN1, certificate))
        except DecodeError as error:
            raise Refused(self._context.invalid, str(error)) from error
        self._judgement.see_again(leaf, self._again)
        self.resumed = True

    def _finish_handshake(self) -> None:
        self._hellos.clear()
        # Belt and braces: OpenSSL says yes, but our own judgement must have been made.
        if not (self._judgement.passed and self._judgement.status_passed):
            raise TlsFailed(Cause.EAP_FAILED, "the peer's certificate, or its status, was never judged", self._drain())
        if self.version is TlsVersion.TLS_1_2 and not has_extended_master_secret(self._live):
            # RFC 7627 5.4: keys exported without it are bound to nobody's certificate. Our Finished is not sent.
            self._drain()
            raise TlsFailed(Cause.EAP_FAILED, "TLS 1.2 without the extended master secret")
        self._done = True

    def _failure(self, error: SSL.Error) -> TlsFailed:
        self._context.raise_problem()
        flight = self._drain()
        verdict = self._judgement.verdict
        if verdict is not None:
            return TlsFailed(verdict.cause, verdict.detail, flight)
        reason = _reason(error)
        return TlsFailed(Cause.EAP_FAILED, reason, flight, by_peer=not flight and "alert" in reason)

    def _drain(self) -> bytes:
        flight = b""
        try:
            while len(flight) % _ROOM == 0:
                flight += self._live.bio_read(_ROOM)
        except SSL.WantReadError:
            pass
        return flight


def _reason(error: SSL.Error) -> str:
    """OpenSSL's own words for what went wrong."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "TLS: " + (", ".join(str(entry[-1]) for entry in entries[:2]) or type(error).__name__)
