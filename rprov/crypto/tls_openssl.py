"""The calls of pyOpenSSL that are not public, all of them, probed and failing loudly where a version lacks them.

These things have no public way: the choice of key exchange groups, whether TLS 1.2 has the extended master secret,
sessions as octets and whether one was resumed, and telling OpenSSL from a verify callback *why* a certificate is
refused, which becomes the TLS alert (public callbacks make every refusal an internal_error). Decides nothing.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from OpenSSL import SSL

from rprov.crypto.issue import make_network_ca, private_key
from rprov.errors import EnvironmentLacks

Verify = Callable[[SSL.Connection, int, int, bool, Callable[[], list[bytes]]], int]
"""(connection, error, depth, ok, chain) -> X509_V_… of a refusal, 0 to go on; `chain()` gives DER, leaf first."""

_SIGNATURE = "int (*)(int, X509_STORE_CTX *)"
_LARGEST_HANDSHAKE = 65536
_NEEDED = (
    "BIO_free",
    "BIO_get_mem_data",
    "BIO_new",
    "BIO_s_mem",
    "ERR_clear_error",
    "SSL_CTX_set1_curves_list",
    "SSL_CTX_set_verify",
    "SSL_get_ex_data_X509_STORE_CTX_idx",
    "SSL_SESSION_free",
    "SSL_get1_session",
    "SSL_get_extms_support",
    "SSL_session_reused",
    "SSL_set_options",
    "SSL_set_session",
    "X509_STORE_CTX_get1_chain",
    "X509_STORE_CTX_get_error",
    "X509_STORE_CTX_get_error_depth",
    "X509_STORE_CTX_get_ex_data",
    "X509_STORE_CTX_set_error",
    "X509_free",
    "d2i_SSL_SESSION",
    "i2d_SSL_SESSION",
    "i2d_X509_bio",
    "sk_X509_free",
    "sk_X509_num",
    "sk_X509_value",
)


def _private(owner: Any, name: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError:
        raise EnvironmentLacks(f"this pyOpenSSL has no {name}; rprov needs pyOpenSSL 26 or newer") from None


def _library() -> Any:
    """OpenSSL's functions as pyOpenSSL sees them, each one needed here probed."""
    library = _private(SSL, "_lib")
    for name in _NEEDED:
        _private(library, name)
    return library


def _probed() -> Any:
    """The same for what belongs to one connection: its context has probed them, and none is probed per handshake."""
    return _private(SSL, "_lib")


def set_groups(context: SSL.Context, groups: bytes) -> None:
    """Choose the key exchange groups, best first, colons in between."""
    if _library().SSL_CTX_set1_curves_list(_private(context, "_context"), groups) != 1:
        raise EnvironmentLacks(f"this OpenSSL does not know the TLS groups {groups.decode()}")


def has_extended_master_secret(connection: SSL.Connection) -> bool:
    """Whether both sides of a TLS 1.2 handshake have it (RFC 7627)."""
    return bool(_probed().SSL_get_extms_support(_private(connection, "_ssl")) == 1)


def is_resumed(connection: SSL.Connection) -> bool:
    """Whether the handshake goes on from an earlier one; at a server, from the ClientHello on."""
    return bool(_probed().SSL_session_reused(_private(connection, "_ssl")) == 1)


def take_no_ticket(connection: SSL.Connection) -> None:
    """Make a server's handshake a full one, whatever the client offers."""
    _probed().SSL_set_options(_private(connection, "_ssl"), SSL.OP_NO_TICKET)


def session_octets(connection: SSL.Connection) -> bytes | None:
    """The session with its keys, DER; None where no ticket came with which it could be resumed."""
    library, ffi = _library(), _private(SSL, "_ffi")
    session = ffi.gc(library.SSL_get1_session(_private(connection, "_ssl")), library.SSL_SESSION_free)
    length = library.i2d_SSL_SESSION(session, ffi.NULL) if session != ffi.NULL else 0
    if length <= 0:
        return None
    place = ffi.new("unsigned char[]", length)
    library.i2d_SSL_SESSION(session, ffi.new("unsigned char **", place))
    octets = bytes(ffi.buffer(place, length))
    return octets if _TICKET in _elements(octets) else None


def offer_session(connection: SSL.Connection, octets: bytes) -> None:
    """Let a client offer the ticket of this session; octets that are none lead to a full handshake."""
    library, ffi = _library(), _private(SSL, "_ffi")
    place = ffi.new("unsigned char[]", octets)
    found = library.d2i_SSL_SESSION(ffi.NULL, ffi.new("unsigned char **", place), len(octets))
    if found != ffi.NULL:
        library.SSL_set_session(_private(connection, "_ssl"), ffi.gc(found, library.SSL_SESSION_free))
    library.ERR_clear_error()


_TICKET = 0xAA
"""The tag of the ticket in OpenSSL's SSL_SESSION: [10]."""


def _elements(octets: bytes) -> set[int]:
    """The tags of the elements of a DER SEQUENCE that OpenSSL has written."""
    tags, position = set(), 0
    while position < len(octets):
        first = octets[position + 1]
        size = first & 0x7F if first > 0x80 else 0
        length = int.from_bytes(octets[position + 2 : position + 2 + size]) if size else first
        tags.add(octets[position])
        # the outermost element is entered, those inside are passed over
        position += 2 + size + (length if position else 0)
    return tags


def ticket_octets() -> int:
    """Find out by a handshake in memory how many octets of session tickets a server sends; 0 is what we ask for.

    Tickets stay as they are for a process: the number stands in the file of OPENSSL_CONF when OpenSSL is loaded.
    """
    key = private_key(lambda size: bytes(range(1, size + 1)))  # proves nothing to anybody and is thrown away
    now = datetime(2000, 1, 1, tzinfo=UTC)
    certificate = make_network_ca(key, now=now, entropy=bytes)
    contexts = SSL.Context(SSL.TLS_SERVER_METHOD), SSL.Context(SSL.TLS_CLIENT_METHOD)
    for context in contexts:
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_options(SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    contexts[0].use_certificate(certificate)
    contexts[0].use_privatekey(key)
    server, client = (SSL.Connection(context, None) for context in contexts)
    server.set_accept_state()
    client.set_connect_state()
    for speaker, listener in ((client, server), (server, client), (client, server)):
        with suppress(SSL.WantReadError):
            speaker.do_handshake()
        listener.bio_write(speaker.bio_read(_LARGEST_HANDSHAKE))
    server.do_handshake()
    try:
        return len(server.bio_read(_LARGEST_HANDSHAKE))
    except SSL.WantReadError:
        return 0


class VerifyHook:
    """Keeps a C callback alive, and what went wrong in it."""

    __slots__ = ("_callback", "_problems")

    def __init__(self, callback: object, problems: list[BaseException]) -> None:
        self._callback = callback
        self._problems = problems

    def raise_problem(self) -> None:
        """Raise what the callback raised, once."""
        if self._problems:
            raise self._problems.pop()


def set_verify(context: SSL.Context, mode: int, verify: Verify) -> VerifyHook:
    """Set the verify callback; the caller keeps what is returned as long as the context lives.

    `verify` is called for every complaint, and for the leaf when OpenSSL calls it good; an issuer without complaint is
    no news. An exception in the callback is a bug of ours: it refuses the certificate and is raised by
    `raise_problem`.
    """
    library = _library()
    index = library.SSL_get_ex_data_X509_STORE_CTX_idx()
    connections = _private(SSL.Connection, "_reverse_mapping")
    problems: list[BaseException] = []
    ffi = _private(SSL, "_ffi")

    def callback(ok: int, store: Any) -> int:
        depth = library.X509_STORE_CTX_get_error_depth(store)
        if ok and depth:
            return 1
        connection = connections[library.X509_STORE_CTX_get_ex_data(store, index)]
        error = library.X509_STORE_CTX_get_error(store)
        verdict = verify(connection, error, depth, bool(ok), lambda: _chain(library, ffi, store))
        library.X509_STORE_CTX_set_error(store, verdict)
        return int(verdict == 0)

    def on_error(_kind: type[BaseException], problem: BaseException, _where: TracebackType) -> int:
        problems.append(problem)
        return 0

    made = ffi.callback(_SIGNATURE, callback, error=0, onerror=on_error)
    library.SSL_CTX_set_verify(_private(context, "_context"), mode, made)
    # What only a handshake would miss: found now, when a daemon starts.
    _private(SSL.Connection(SSL.Context(SSL.TLS_METHOD), None), "_ssl")
    return VerifyHook(made, problems)


def _chain(library: Any, ffi: Any, store: Any) -> list[bytes]:
    """The chain that OpenSSL has built, DER, leaf first."""
    stack = library.X509_STORE_CTX_get1_chain(store)
    place = ffi.new("char **")
    found = []
    for position in range(library.sk_X509_num(stack)):
        certificate = library.sk_X509_value(stack, position)
        memory = library.BIO_new(library.BIO_s_mem())
        library.i2d_X509_bio(memory, certificate)
        length = library.BIO_get_mem_data(memory, place)
        found.append(bytes(ffi.buffer(place[0], length)))
        library.BIO_free(memory)
        # Each element holds a reference of its own, the stack itself is ours.
        library.X509_free(certificate)
    library.sk_X509_free(stack)
    return found
