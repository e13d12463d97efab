"""TLS as a channel: octets of an application in, octets of records out, for a link that lasts. 1.3 only.

Part of the documented exception to purity (`crypto/tls.py`), whose engine ends where this one begins: EAP-TLS wants
keys and one octet of data, a link wants any amount of data and no keys. Owns one connection over memory; what
connections share is in `tls_context.py`, how the peer is judged in `tls_judgement.py`. Knows no socket and no message.
"""

from typing import NamedTuple
from weakref import ref

from cryptography import x509
from OpenSSL import SSL

from rprov.causes import Cause
from rprov.crypto.tls import TlsFailed
from rprov.crypto.tls_context import TlsContext
from rprov.crypto.tls_judgement import Judge, Judgement
from rprov.errors import Misuse

_RECORD = 16384
"""Octets that one record carries at most."""

_ROOM = 1 << 15
"""Octets of records that are taken out of OpenSSL in one go."""

_NO_TLS = ("wrong version number", "http request", "https proxy request", "packet length too long", "bad record type")
"""What OpenSSL says of octets that are no TLS at all."""


class Arrived(NamedTuple):
    """What one call gave: octets to send, octets of the application, whether the other side has said goodbye."""

    flight: bytes
    data: bytes = b""
    closed: bool = False


class TlsChannel:
    """One TLS connection over memory. Every call that fails raises `TlsFailed`; then the channel is over."""

    __slots__ = ("_connection", "_context", "_done", "_judgement")

    def __init__(self, context: TlsContext, judge: Judge) -> None:
        """Begin one handshake; the judge decides on the peer's certificate."""
        self._context = context
        self._connection = context.connection()
        self._judgement = Judgement(judge, context.invalid)
        # A weak reference, as in the engine: a forgotten channel frees its memory at once.
        self._connection.set_app_data(ref(self._judgement))
        self._done = False

    @property
    def done(self) -> bool:
        """Whether the handshake is complete on this side and the peer's certificate was judged good.

        A client is done before the server has judged the client's certificate (RFC 8446 4.4): a refusal comes later,
        as an alert in place of data.
        """
        return self._done

    @property
    def peer(self) -> x509.Certificate:
        """The peer's certificate, once the handshake is done."""
        if not self._done or self._judgement.peer is None:
            raise Misuse("a peer is known after the handshake")
        return self._judgement.peer

    @property
    def others(self) -> tuple[x509.Certificate, ...]:
        """The certificates that the peer has sent beside its own."""
        sent = self._connection.get_peer_cert_chain(as_cryptography=True) or []
        return tuple(certificate for certificate in sent if certificate != self.peer)

    @property
    def suite(self) -> str:
        """Version and cipher suite, for people."""
        return f"{self._connection.get_protocol_version_name()} {self._connection.get_cipher_name()}"

    def start(self) -> bytes:
        """Give the first flight of a client; a server has none."""
        return self.feed(b"").flight

    def feed(self, octets: bytes) -> Arrived:
        """Take octets of the peer, cut anywhere."""
        data: list[bytes] = []
        closed = False
        try:
            if octets:
                self._connection.bio_write(octets)
            if not self._done:
                self._connection.do_handshake()
                self._finish_handshake()
            while True:
                data.append(self._connection.recv(_RECORD))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            closed = True
        except SSL.Error as error:
            raise self._failure(error) from None
        return Arrived(self._drain(), b"".join(data), closed)

    def send(self, data: bytes) -> bytes:
        """Give the records that carry these octets."""
        try:
            self._connection.sendall(data)  # record by record; memory takes them all
        except SSL.Error as error:
            raise self._failure(error) from None
        return self._drain()

    def close_notify(self) -> bytes:
        """Give the record that says goodbye; what was sent before it is complete (RFC 8446 6.1)."""
        try:
            self._connection.shutdown()
        except SSL.Error as error:
            raise self._failure(error) from None
        return self._drain()

    def _finish_handshake(self) -> None:
        # Belt and braces: OpenSSL says yes, but our own judgement must have been made.
        if not self._judgement.passed:
            raise TlsFailed(self._context.invalid, "the peer's certificate was never judged", self._drain())
        if self._connection.get_protocol_version() != SSL.TLS1_3_VERSION:
            raise TlsFailed(self._context.invalid, "a version of TLS that a link never runs on", self._drain())
        self._done = True

    def _failure(self, error: SSL.Error) -> TlsFailed:
        self._context.raise_problem()
        flight = self._drain()
        verdict = self._judgement.verdict
        if verdict is not None:
            return TlsFailed(verdict.cause, str(verdict), flight)
        reason = _reason(error)
        _, alert, name = reason.partition("alert ")
        if alert and not flight:
            return TlsFailed(Cause.PROTOCOL_ERROR, f"the peer refuses: {name}", by_peer=True)
        if reason in _NO_TLS:
            reason = "the peer speaks no TLS"
        elif reason.endswith("did not return a certificate"):
            reason = "the peer has shown no certificate"
        return TlsFailed(Cause.PROTOCOL_ERROR, reason, flight)

    def _drain(self) -> bytes:
        pieces: list[bytes] = []
        try:
            while True:
                pieces.append(self._connection.bio_read(_ROOM))
                if len(pieces[-1]) < _ROOM:
                    break
        except SSL.WantReadError:
            pass
        return b"".join(pieces)


def _reason(error: SSL.Error) -> str:
    """OpenSSL's own words for what went wrong."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(str(entry[-1]) for entry in entries[:2]) or type(error).__name__
