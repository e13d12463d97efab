"""What RADIUS over TLS goes by: its certificate, the authorities of clients and their CRLs, read again on SIGHUP.

Handshakes here are rare, and connections live long: so OpenSSL itself checks the CRLs, and whoever is connected when
what is believed changes connects anew.
"""

import logging
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding

from rprov.crypto.x509_crl import judge_crl
from rprov.errors import ConfigError
from rprov.model.aaa import RadsecListen
from rprov.store.crl import load_crl_file
from rprov.store.ocsp import files_below, naming
from rprov.store.pki import load_anchors
from rprov.wiring.node import credentials

_LOG = logging.getLogger("rprov.aaa")
_CRLS = ("*.pem", "*.crl")


class RadsecTls(NamedTuple):
    """A context for handshakes, and what it believes, in octets that can be compared."""

    context: ssl.SSLContext
    believed: bytes


def read_radsec_tls(settings: RadsecListen) -> RadsecTls:
    """Read the files; raises `ConfigError`."""
    credentials(settings.certificate)  # says what is wrong in better words than OpenSSL
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED  # RFC 6614 2.3: mutual
    anchors = load_anchors(settings.anchors)
    believed = b"".join(anchor.public_bytes(Encoding.PEM) for anchor in anchors)
    context.load_verify_locations(cadata=believed.decode("ascii"))
    now = datetime.now(UTC)
    for file in _crl_files(settings):
        found = load_crl_file(file)
        if found.issuers:
            raise ConfigError(f"{file}: there are certificates beside the CRLs, and OpenSSL would trust them")
        for crl in found.crls:
            with naming(file):
                judge_crl(crl, anchors, now)
            if crl.next_update_utc is None or crl.next_update_utc < now:
                _LOG.error("%s: this CRL is over: no client that it speaks of is served", file)
            believed += crl.public_bytes(Encoding.PEM)
        try:
            context.load_verify_locations(cafile=file)
        except ssl.SSLError:
            raise ConfigError(f"{file}: CRLs for RADIUS over TLS are in PEM") from None
    if settings.crls:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    context.load_cert_chain(settings.certificate.chain, settings.certificate.key)
    return RadsecTls(context, believed)


def _crl_files(settings: RadsecListen) -> list[Path]:
    return [file for path in settings.crls for file in files_below(path, _CRLS)]
