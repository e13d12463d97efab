"""What TLS handshakes of one side share: credentials, anchors and choices, parsed once: it costs more than a handshake.

Part of the documented exception to purity (`crypto/tls.py`). Decides nothing about a peer, and knows no flight.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags

from rprov.causes import Cause
from rprov.crypto.tls_judgement import Judgement, rejected
from rprov.crypto.tls_openssl import is_resumed, set_groups, set_verify
from rprov.crypto.x509_path import LONGEST_PATH
from rprov.errors import EnvironmentLacks, Misuse
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

_NO_AUTO_CHAIN = 0x08
"""SSL_MODE_NO_AUTO_CHAIN, which pyOpenSSL does not name."""

MOST_KNOWN = 256
"""Issuers below the anchors that one context takes."""


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
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        self.resumes = choices.resumption.enabled
        if self.resumes:
            context.set_timeout(choices.resumption.lifetime)
        else:
            context.set_options(SSL.OP_NO_TICKET)
        # Tickets carry the session themselves; OP_NO_TICKET needs the cache off too (CVE-2024-2511).
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        # Without it a client that offers a ticket of elsewhere fails the whole handshake.
        context.set_session_id(b"rprov")
        # What we show is the chain that was given; OpenSSL would look in the store for more, in each handshake.
        context.set_mode(SSL.MODE_RELEASE_BUFFERS | _NO_AUTO_CHAIN)
        context.use_certificate(credentials.chain[0])
        for issuer in credentials.chain[1:]:
            context.add_extra_chain_cert(issuer)
        context.use_privatekey(credentials.key)
        store = context.get_cert_store()
        if store is None:
            raise EnvironmentLacks("OpenSSL gives no certificate store")
        for anchor in anchors:
            store.add_cert(X509.from_cryptography(anchor))
        store.set_flags(X509StoreFlags.PARTIAL_CHAIN)  # a trusted certificate ends a chain, also where it is no root
        self._store = store
        self._known = 0
        context.set_verify_depth(LONGEST_PATH)
        if side is Side.SERVER:
            context.set_ocsp_server_callback(_staple)
        else:
            context.set_ocsp_client_callback(_on_staple)
        self._hook = set_verify(context, SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _on_certificate)
        self._context = context

    def connection(self) -> SSL.Connection:
        """Begin one handshake over memory; whoever takes it makes a weak reference to a `Judgement` its app data."""
        connection = SSL.Connection(self._context, None)
        if self.side is Side.SERVER:
            connection.set_accept_state()
        else:
            connection.set_connect_state()
        return connection

    def know(self, issuer: x509.Certificate) -> None:
        """Take an issuer whose own path has been judged good: OpenSSL need not verify its signature again each time.

        That its dates, its revocation and its anchor are as they must be, the judge checks each time all the same.
        OpenSSL's store takes no certificate back, so there is a bound; beyond it, chains are only verified anew.
        """
        if self._known < MOST_KNOWN:
            self._known += 1
            self._store.add_cert(X509.from_cryptography(issuer))

    def log_keys(self, log: Callable[[bytes], None]) -> None:
        """Give every secret of handshakes from now on to `log`, as lines of an SSLKEYLOGFILE."""
        self._context.set_keylog_callback(lambda _connection, line: log(line))

    def raise_problem(self) -> None:
        """Raise what went wrong in a callback: a mistake of ours, which has refused the certificate."""
        self._hook.raise_problem()


def _on_certificate(
    connection: SSL.Connection, error: int, depth: int, ok: bool, chain: Callable[[], list[bytes]]
) -> int:
    """OpenSSL calls this for every certificate, from the root down, and for every complaint."""
    judgement: Judgement | None = connection.get_app_data()()
    return rejected() if judgement is None else judgement.see(error, depth, ok, chain)


def _staple(connection: SSL.Connection, _data: None) -> bytes:
    """OpenSSL asks a server for the OCSP response of its certificate, if the client wants one."""
    judgement: Judgement | None = connection.get_app_data()()
    return b"" if judgement is None else judgement.staple


def _on_staple(connection: SSL.Connection, response: bytes, _data: None) -> bool:
    """OpenSSL shows a client what the server has stapled, or b"", after the certificate."""
    if is_resumed(connection):
        return True  # there is no certificate that could bring one; the engine judges the whole session at the end
    judgement: Judgement | None = connection.get_app_data()()
    return judgement is not None and judgement.see_status(response)
