"""Opens a handshake of EAP-TLS with the secrets of a key log, and checks every signature, Finished and record in it.

Driven by flights in their order: what one side has said until the other spoke. Says which certificates were shown, what
both sides derive, and at the first thing that is wrong in which flight that is.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidTag

from rprov.crypto.hierarchy import Emsk, Msk
from rprov.errors import DecodeError, RprovError
from rprov.trace.keylog import Keys
from rprov.trace.verify.tls_keys import SUITES, Sealed, Suite, expand_label, exported_1_2, exported_1_3, prf
from rprov.trace.verify.tls_messages import (
    HELLO_RETRY,
    TLS_1_2,
    TLS_1_3,
    Content,
    Hello,
    Record,
    Shake,
    Taker,
    read_certificates,
    read_hello,
    records,
    signature_is_right,
)

_SIGNED_1_3 = b" " * 64 + b"TLS 1.3, %s CertificateVerify\0"
_SIDES = {True: "client", False: "server"}


class TlsFault(RprovError):
    """What is wrong with a handshake, and in which flight, counted from 0."""

    def __init__(self, flight: int, what: str) -> None:
        self.flight = flight
        super().__init__(what)


class KeysMissing(RprovError):
    """The key log does not have what opens this handshake."""


@dataclass(frozen=True, slots=True)
class Flight:
    """Octets that one side has said."""

    from_client: bool
    octets: bytes


@dataclass(slots=True)
class Opened:
    """What a handshake has shown."""

    version: int = 0
    resumed: bool = False
    client: tuple[x509.Certificate, ...] = ()
    server: tuple[x509.Certificate, ...] = ()
    verified: set[bool] = field(default_factory=set)
    """Which sides have signed: True for the client."""
    finished: set[bool] = field(default_factory=set)
    application: list[tuple[int, bool, bytes]] = field(default_factory=list)
    """Flight, whether it came from the client, and the octets that it carried for the application."""
    alerts: list[tuple[bool, int]] = field(default_factory=list)
    keys: tuple[Msk, Emsk] | None = None

    @property
    def done(self) -> bool:
        """Whether both sides have finished."""
        return self.finished == {True, False}


def open_handshake(flights: Sequence[Flight], keys: Keys) -> Opened:
    """Open a handshake as far as it went; raises `TlsFault` and `KeysMissing`."""
    reader = _Reader(keys)
    for number, flight in enumerate(flights):
        try:
            for record in records(flight.octets):
                reader.record(number, flight.from_client, record)
        except DecodeError as error:
            raise TlsFault(number, str(error)) from error
        except InvalidTag:
            raise TlsFault(number, "a TLS record does not open: it was changed, or is not where it belongs") from None
    return reader.opened


class _Reader:
    def __init__(self, keys: Keys) -> None:
        self.opened = Opened()
        self._keys = keys
        self._suite: Suite | None = None
        self._client: Hello | None = None
        self._server: Hello | None = None
        self._transcript = b""
        self._sealed: dict[bool, Sealed] = {}
        self._next: dict[bool, Sealed] = {}
        """TLS 1.2: what ChangeCipherSpec takes into use."""
        self._later: dict[bool, str] = {}
        """TLS 1.3: the secret behind the Finished, taken when there is something to open."""
        self._partial = {True: b"", False: b""}
        self._flight = 0

    # --- records ------------------------------------------------------------------------------------------------------

    def record(self, flight: int, from_client: bool, record: Record) -> None:
        self._flight = flight
        # RFC 8446 5.1: 0x0301 only where a ClientHello begins
        if record.header[2] != 3 and (record.header[2] != 1 or self._client is not None):
            raise DecodeError("a TLS record of another version")
        if record.content == Content.CHANGE_CIPHER_SPEC:
            if record.payload != b"\1":
                raise DecodeError("a ChangeCipherSpec that is none")
            if from_client in self._next:
                self._sealed[from_client] = self._next.pop(from_client)
            return
        content, plain = self._plain(from_client, record)
        if content == Content.ALERT and len(plain) == 2:
            self.opened.alerts.append((from_client, plain[1]))
        elif content == Content.APPLICATION and self.opened.done:
            self.opened.application.append((flight, from_client, plain))
        elif content == Content.HANDSHAKE and plain:
            self._handshake(from_client, plain)
        else:
            raise DecodeError(f"a TLS record of type {content} where none belongs")

    def _plain(self, from_client: bool, record: Record) -> tuple[int, bytes]:
        if from_client in self._later:
            self._take(self._later.pop(from_client), from_client)
        sealed = self._sealed.get(from_client)
        if sealed is None:
            if record.content == Content.APPLICATION:
                raise DecodeError("a sealed TLS record before there are keys")
            return record.content, record.payload
        if self.opened.version == TLS_1_2:
            return record.content, sealed.open_1_2(record.header, record.payload)
        if record.content == Content.ALERT and from_client and not sealed.used:
            return record.content, record.payload  # who refuses the server's first flight may have no keys yet
        if record.content != Content.APPLICATION:
            raise DecodeError("a TLS record that is not sealed, though there are keys")
        inner = sealed.open_1_3(record.header, record.payload).rstrip(b"\0")
        if not inner:
            raise DecodeError("a TLS record without a content type")
        return inner[-1], inner[:-1]

    def _handshake(self, from_client: bool, octets: bytes) -> None:
        waiting = self._partial[from_client] + octets
        while len(waiting) >= 4 and len(waiting) >= 4 + int.from_bytes(waiting[1:4]):
            length = 4 + int.from_bytes(waiting[1:4])
            message, waiting = waiting[:length], waiting[length:]
            self._message(from_client, message)
        self._partial[from_client] = waiting

    # --- messages -----------------------------------------------------------------------------------------------------

    def _message(self, from_client: bool, message: bytes) -> None:
        kind, body = message[0], message[4:]
        before = self._transcript
        if not (kind == Shake.NEW_SESSION_TICKET and self.opened.version == TLS_1_3):
            self._transcript += message
        match kind:
            case Shake.CLIENT_HELLO:
                self._client = read_hello(body, client=True)
            case Shake.SERVER_HELLO:
                self._server_hello(read_hello(body, client=False), before, message)
            case Shake.CERTIFICATE:
                self._certificates(from_client, body)
            case Shake.SERVER_KEY_EXCHANGE:
                self._server_key_exchange(body)
            case Shake.CERTIFICATE_VERIFY:
                self._certificate_verify(from_client, body, before)
            case Shake.CLIENT_KEY_EXCHANGE:
                self._derive_1_2()
            case Shake.FINISHED:
                self._finished(from_client, body, before)
            case _:
                pass  # covered by the transcript, and says nothing that matters here

    def _server_hello(self, hello: Hello, before: bytes, message: bytes) -> None:
        suite = SUITES.get(hello.suites[0])
        if suite is None or self._client is None:
            raise DecodeError(f"the cipher suite {hello.suites[0]:#06x} is none that this reads")
        self._suite = suite
        if hello.random == HELLO_RETRY:
            # RFC 8446 4.4.1: the first ClientHello is replaced by its hash.
            hashed = suite.digest(before)
            self._transcript = bytes((254, 0, 0, len(hashed))) + hashed + message
            return
        self._server = hello
        self.opened.version = hello.server_version
        if self.opened.version == TLS_1_3:
            self.opened.resumed = hello.resumes
            self._take("CLIENT_HANDSHAKE_TRAFFIC_SECRET", True)
            self._take("SERVER_HANDSHAKE_TRAFFIC_SECRET", False)
            exporter = self._secret("EXPORTER_SECRET")
            self.opened.keys = exported_1_3(suite, exporter)
        elif self.opened.version != TLS_1_2:
            raise DecodeError(f"version {self.opened.version:#06x} of TLS is none that this reads")

    def _secret(self, label: str) -> bytes:
        client = self._hello(self._client)
        secret = self._keys.tls.get((label, client.random))
        if secret is None:
            raise KeysMissing(f"the key log has no {label} for the handshake with client random {client.random.hex()}")
        return secret.octets

    def _take(self, label: str, from_client: bool) -> None:
        self._sealed[from_client] = Sealed.tls_1_3(self._chosen, self._secret(label))

    @property
    def _chosen(self) -> Suite:
        if self._suite is None:
            raise DecodeError("a handshake message before the ServerHello")
        return self._suite

    @staticmethod
    def _hello(hello: Hello | None) -> Hello:
        if hello is None:
            raise DecodeError("a handshake without its hello")
        return hello

    def _certificates(self, from_client: bool, body: bytes) -> None:
        found = read_certificates(body, tls_1_3=self.opened.version == TLS_1_3)
        if from_client:
            self.opened.client = found
        else:
            self.opened.server = found

    def _leaf(self, from_client: bool) -> x509.Certificate:
        shown = self.opened.client if from_client else self.opened.server
        if not shown:
            raise DecodeError(f"the {_SIDES[from_client]} signs without a certificate")
        return shown[0]

    def _certificate_verify(self, from_client: bool, body: bytes, before: bytes) -> None:
        taker = Taker(body)
        scheme, signature = taker.number(2), taker.vector(2)
        taker.end()
        signed = before
        if self.opened.version == TLS_1_3:
            signed = _SIGNED_1_3 % _SIDES[from_client].encode("ascii") + self._chosen.digest(before)
        self._signed(from_client, scheme, signature, signed)

    def _server_key_exchange(self, body: bytes) -> None:
        taker = Taker(body)
        parameters = taker.take(3) + (length := taker.take(1)) + taker.take(length[0])
        scheme, signature = taker.number(2), taker.vector(2)
        taker.end()
        randoms = self._hello(self._client).random + self._hello(self._server).random
        self._signed(False, scheme, signature, randoms + parameters)

    def _signed(self, from_client: bool, scheme: int, signature: bytes, signed: bytes) -> None:
        if not signature_is_right(self._leaf(from_client), scheme, signature, signed):
            raise TlsFault(self._flight, f"the {_SIDES[from_client]}'s signature over the handshake is wrong")
        self.opened.verified.add(from_client)

    def _finished(self, from_client: bool, body: bytes, before: bytes) -> None:
        suite, side = self._chosen, _SIDES[from_client]
        if self.opened.version == TLS_1_3:
            secret = self._secret(f"{side.upper()}_HANDSHAKE_TRAFFIC_SECRET")
            key = expand_label(suite, secret, "finished", b"", len(suite.digest(b"")))
            expected = suite.mac(key, suite.digest(before))
            # Who has logged the keys may never have had these: a handshake may end in an alert.
            self._later[from_client] = f"{side.upper()}_TRAFFIC_SECRET_0"
        else:
            label = f"{side} finished".encode("ascii")
            expected = prf(suite, self._secret("CLIENT_RANDOM"), label, suite.digest(before), 12)
        if not hmac.compare_digest(expected, body):
            raise TlsFault(self._flight, f"the {side}'s Finished does not fit: something of the handshake was changed")
        self.opened.finished.add(from_client)

    def _derive_1_2(self) -> None:
        suite, master = self._chosen, self._secret("CLIENT_RANDOM")
        client, server = self._hello(self._client).random, self._hello(self._server).random
        iv = 12 if suite.chacha else 4
        size = suite.key_octets
        block = Taker(prf(suite, master, b"key expansion", server + client, 2 * (size + iv)))
        keys = block.take(size), block.take(size)
        self._next = {True: Sealed(suite, keys[0], block.take(iv)), False: Sealed(suite, keys[1], block.take(iv))}
        self.opened.keys = exported_1_2(suite, master, client, server)
