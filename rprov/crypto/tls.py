"""TLS as octets in, octets out: mutual certificates, one flight per call, the exporter. 1.3, and 1.2 where chosen.

Owns everything that touches OpenSSL, private calls of pyOpenSSL included, and the documented exception to purity:
OpenSSL has a clock and randomness of its own. It does not decide who is trusted: a `Judge` does, in the middle of the
handshake, so that a refusal leaves as a TLS alert. Knows no EAP.

    context = TlsContext(Side.SERVER, credentials, anchors)      once: parsing keys costs more than a handshake
    engine = context.engine(judge)                               one per exchange
    engine.start() / engine.feed(octets) -> Progress             raises TlsFailed(flight, cause)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import lru_cache
from types import MappingProxyType
from weakref import ref

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from OpenSSL import SSL
from OpenSSL.crypto import X509

from rprov.causes import Cause
from rprov.crypto.tls_openssl import has_extended_master_secret, set_groups, set_verify
from rprov.crypto.x509_path import LONGEST_PATH, parse_certificate
from rprov.errors import DecodeError, EnvironmentLacks, Misuse, Refused, RprovError
from rprov.model.tls import DEFAULT_CHOICES, TlsChoices, TlsGroup, TlsSuite, TlsVersion

_GROUPS: Mapping[TlsGroup, str] = MappingProxyType(
    {
        TlsGroup.X25519: "X25519",
        TlsGroup.P256: "P-256",
        TlsGroup.P384: "P-384",
        TlsGroup.BRAINPOOL_P256R1: "brainpoolP256r1tls13:brainpoolP256r1",  # RFC 8734; the other is of TLS 1.2
        TlsGroup.POST_QUANTUM: "X25519MLKEM768",
    }
)
_VERSIONS: Mapping[TlsVersion, int] = MappingProxyType(
    {TlsVersion.TLS_1_2: SSL.TLS1_2_VERSION, TlsVersion.TLS_1_3: SSL.TLS1_3_VERSION}
)
_SUITES_1_2: Mapping[TlsSuite, str] = MappingProxyType(
    {
        TlsSuite.AES_128_GCM: "ECDHE-ECDSA-AES128-GCM-SHA256",
        TlsSuite.AES_256_GCM: "ECDHE-ECDSA-AES256-GCM-SHA384",
        TlsSuite.CHACHA20_POLY1305: "ECDHE-ECDSA-CHACHA20-POLY1305",
    }
)


def group_names(choices: TlsChoices) -> bytes:
    """The groups in OpenSSL's words. Were none named, it would offer X25519MLKEM768 first."""
    return ":".join(_GROUPS[group] for group in choices.groups).encode()


def suite_names(choices: TlsChoices) -> bytes:
    """The suites of TLS 1.3 in OpenSSL's words."""
    return ":".join(choices.suites).encode()


GROUPS = group_names(DEFAULT_CHOICES)
CIPHER_SUITES = suite_names(DEFAULT_CHOICES)

LARGEST_FLIGHT = 131072
"""Octets that we may have to send at once; our own chain has at most five certificates of 8,192 octets."""

LARGEST_DATA = 64
"""Octets of application data in one call; EAP-TLS has one (RFC 9190 2.5)."""


class _X509(IntEnum):
    """Error numbers of OpenSSL's certificate verification (X509_V_ERR_…); each becomes its own TLS alert."""

    NOT_YET_VALID = 9
    EXPIRED = 10
    NO_ISSUER = 20
    REVOKED = 23
    INVALID_PURPOSE = 26
    REJECTED = 28
    PERMITTED_VIOLATION = 47
    """What OpenSSL makes of the nameConstraints of SGP.22, which mean a prefix."""


_JUDGED_BY_US = frozenset({_X509.NOT_YET_VALID, _X509.EXPIRED})
"""Dates as OpenSSL's own clock sees them; the judge has the time that it was given."""

_ALERTS: Mapping[Cause, int] = MappingProxyType(
    {
        Cause.UNKNOWN_CI: _X509.NO_ISSUER,
        Cause.CERTIFICATE_EXPIRED: _X509.EXPIRED,
        Cause.CERTIFICATE_NOT_YET_VALID: _X509.NOT_YET_VALID,
        Cause.CERTIFICATE_REVOKED: _X509.REVOKED,
        Cause.WRONG_CERTIFICATE_ROLE: _X509.INVALID_PURPOSE,
        Cause.NETWORK_ANCHOR_UNKNOWN: _X509.NO_ISSUER,
        Cause.NETWORK_CERTIFICATE_EXPIRED: _X509.EXPIRED,
        Cause.NETWORK_CERTIFICATE_NOT_YET_VALID: _X509.NOT_YET_VALID,
        Cause.NETWORK_ROLE_FORBIDDEN: _X509.INVALID_PURPOSE,
    }
)
"""What OpenSSL is told; RFC 8446 6.2: unknown_ca, certificate_expired, …; bad_certificate for the rest."""

Judge = Callable[[x509.Certificate, Sequence[x509.Certificate]], None]
"""Decides on the peer's certificate (leaf, the others it sent); raises `Refused`."""


class Side(Enum):
    """Which end of the handshake."""

    SERVER = SSL.TLS_SERVER_METHOD
    CLIENT = SSL.TLS_CLIENT_METHOD


@dataclass(frozen=True, slots=True)
class TlsCredentials:
    """What one side proves itself with: the chain it sends (leaf first, no root) and the leaf's private key."""

    chain: tuple[x509.Certificate, ...]
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

    def __post_init__(self) -> None:
        if not self.chain:
            raise Misuse("credentials without a certificate")
        if self.chain[0].public_key() != self.key.public_key():
            raise Misuse("the private key does not belong to the certificate")

    def __repr__(self) -> str:
        return f"TlsCredentials({len(self.chain)} certificates)"


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


class TlsContext:
    """What handshakes of one side share: credentials and anchors, parsed once. Not per handshake."""

    def __init__(
        self,
        side: Side,
        credentials: TlsCredentials,
        anchors: Sequence[x509.Certificate],
        choices: TlsChoices = DEFAULT_CHOICES,
    ) -> None:
        self.side = side
        self.invalid = Cause.CERTIFICATE_INVALID if side is Side.SERVER else Cause.NETWORK_CERTIFICATE_INVALID
        context = SSL.Context(side.value)
        versions = [_VERSIONS[version] for version in choices.tls_versions]
        context.set_min_proto_version(min(versions))
        context.set_max_proto_version(max(versions))
        context.set_tls13_ciphersuites(suite_names(choices))
        if choices.takes_1_2:
            context.set_cipher_list(":".join(_SUITES_1_2[suite] for suite in choices.suites).encode())
        set_groups(context, group_names(choices))
        # RFC 9190 2.1.2: resumption is an option, not taken. OP_NO_TICKET needs the cache off too (CVE-2024-2511).
        context.set_options(SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        # Without it a client that offers a ticket of elsewhere fails the whole handshake.
        context.set_session_id(b"rprov")
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.use_certificate(credentials.chain[0])
        for issuer in credentials.chain[1:]:
            context.add_extra_chain_cert(issuer)
        context.use_privatekey(credentials.key)
        store = context.get_cert_store()
        if store is None:
            raise EnvironmentLacks("OpenSSL gives no certificate store")
        for anchor in anchors:
            store.add_cert(X509.from_cryptography(anchor))
        context.set_verify_depth(LONGEST_PATH)
        self.hook = set_verify(context, SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _on_certificate)
        self._context = context

    def engine(self, judge: Judge) -> "TlsEngine":
        """Begin one handshake."""
        connection = SSL.Connection(self._context, None)
        if self.side is Side.SERVER:
            connection.set_accept_state()
        else:
            connection.set_connect_state()
        return TlsEngine(self, connection, judge)


@lru_cache(maxsize=256)
def _parse_issuer(der: bytes) -> x509.Certificate:
    """Parse a CA certificate; many devices share one."""
    return parse_certificate(der)


def _on_certificate(
    connection: SSL.Connection, error: int, depth: int, ok: bool, chain: Callable[[], list[bytes]]
) -> int:
    """OpenSSL calls this for every certificate, from the root down, and for every complaint."""
    engine: TlsEngine | None = connection.get_app_data()()
    return _X509.REJECTED if engine is None else engine._see(error, depth, ok, chain)


class TlsEngine:
    """One TLS connection over memory. Driven by octets from the peer and by its owner; dropped with `close()`."""

    __slots__ = (
        "__weakref__",
        "_complaints",
        "_connection",
        "_context",
        "_done",
        "_judge",
        "_passed",
        "_verdict",
        "peer",
    )

    def __init__(self, context: TlsContext, connection: SSL.Connection, judge: Judge) -> None:
        # A weak reference: a forgotten engine frees its 40 KiB at once, not when cycles are collected.
        connection.set_app_data(ref(self))
        self._context = context
        self._connection: SSL.Connection | None = connection
        self._judge = judge
        self._complaints: list[int] = []
        self._verdict: Refused | None = None
        self._passed = False
        self._done = False
        self.peer: x509.Certificate | None = None
        """The peer's certificate, from the moment it was judged good."""

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
                self._live.do_handshake()
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

    def _finish_handshake(self) -> None:
        # Belt and braces: OpenSSL says yes, but our own judgement must have been made.
        if not self._passed:
            raise TlsFailed(Cause.EAP_FAILED, "the peer's certificate was never judged", self._drain())
        if self.version is TlsVersion.TLS_1_2 and not has_extended_master_secret(self._live):
            # RFC 7627 5.4: keys exported without it are bound to nobody's certificate. Our Finished is not sent.
            self._drain()
            raise TlsFailed(Cause.EAP_FAILED, "TLS 1.2 without the extended master secret")
        self._done = True

    def _see(self, error: int, depth: int, ok: bool, chain: Callable[[], list[bytes]]) -> int:
        """Note one complaint; judge when OpenSSL calls the leaf good. Gives 0 or the error that becomes the alert.

        OpenSSL reports how it built the chain first, then dates and signatures from the top to depth 0, and last the
        name constraints. So complaints are collected, the judgement falls at depth 0, and after that only the one
        complaint is forgiven that our own check of the EUM has answered.
        """
        if self._passed:
            forgiven = error == _X509.PERMITTED_VIOLATION and depth == 0
            return 0 if ok or forgiven else self._refuse(f"OpenSSL refuses the certificate (error {error})", error)
        if not ok:
            if error not in _JUDGED_BY_US:
                self._complaints.append(error)
            return 0
        return 0 if depth else self._pass_judgement(chain())

    def _pass_judgement(self, chain: list[bytes]) -> int:
        try:
            leaf = parse_certificate(chain[0])
            self._judge(leaf, [_parse_issuer(der) for der in chain[1:]])
        except Refused as verdict:
            self._verdict = verdict
            return _ALERTS.get(verdict.cause, _X509.REJECTED)
        except DecodeError as error:
            return self._refuse(str(error), _X509.REJECTED)
        if self._complaints:
            return self._refuse(f"OpenSSL refuses the certificate (error {self._complaints[0]})", self._complaints[0])
        self.peer = leaf
        self._passed = True
        return 0

    def _refuse(self, detail: str, error: int) -> int:
        self._passed = False
        self.peer = None
        self._verdict = Refused(self._context.invalid, detail)
        return error

    def _failure(self, error: SSL.Error) -> TlsFailed:
        self._context.hook.raise_problem()
        flight = self._drain()
        if self._verdict is not None:
            return TlsFailed(self._verdict.cause, self._verdict.detail, flight)
        reason = _reason(error)
        return TlsFailed(Cause.EAP_FAILED, reason, flight, by_peer=not flight and "alert" in reason)

    def _drain(self) -> bytes:
        try:
            return self._live.bio_read(LARGEST_FLIGHT)
        except SSL.WantReadError:
            return b""


def _reason(error: SSL.Error) -> str:
    """OpenSSL's own words for what went wrong."""
    entries = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return "TLS: " + (", ".join(str(entry[-1]) for entry in entries[:2]) or type(error).__name__)
