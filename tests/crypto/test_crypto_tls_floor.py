"""What known holes of the libraries below us demand: versions, and a context that is set up around them."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest
from cryptography.hazmat.backends.openssl.backend import backend
from doubles.pki import shared_pki
from OpenSSL import SSL
from OpenSSL.crypto import X509Store

from rprov.crypto.tls_context import MOST_KNOWN, Side, TlsContext, TlsCredentials
from rprov.crypto.x509_path import LARGEST_CERTIFICATE, MOST_INTERMEDIATES
from rprov.model.tls import TlsChoices, TlsVersion

SETUP = (Path(__file__).parents[2] / "setup.cfg").read_text(encoding="utf-8")


def floor(name: str) -> tuple[int, ...]:
    found = re.search(rf"^\s+{name}>=([\d.]+)$", SETUP, re.MULTILINE)
    assert found, f"setup.cfg sets no floor for {name}"
    return tuple(map(int, found[1].split(".")))


@pytest.mark.parametrize(("name", "least"), [("pyOpenSSL", (26,)), ("cryptography", (46,))])
def test_libraries_with_known_holes_are_not_installed_with_us(name, least):
    """CVE-2026-27459, CVE-2026-27448: before pyOpenSSL 26 an exception in a callback could let a peer in."""
    assert floor(name) >= least
    assert tuple(map(int, version(name).split(".")[: len(least)])) >= least


def test_the_openssl_that_runs_is_the_wheels_and_new():
    """Not the system's, whatever `openssl version` says: the numbers of both libraries are of the same one."""
    text = backend.openssl_version_text()
    assert SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode() == text
    found = re.match(r"OpenSSL (\d+)\.(\d+)", text)
    assert found
    assert (int(found[1]), int(found[2])) >= (3, 5)


@pytest.mark.parametrize("side", Side)
def test_without_tickets_there_is_no_session_cache_that_could_grow(side):
    """CVE-2024-2511: SSL_OP_NO_TICKET alone lets a server's cache grow without bound in TLS 1.3."""
    pki = shared_pki()
    held = pki.network if side is Side.SERVER else pki.device
    made = TlsContext(side, TlsCredentials(held.chain, held.key), [pki.ci.certificate])
    assert made._context.get_session_cache_mode() == SSL.SESS_CACHE_OFF
    assert made._context.set_options(0) & SSL.OP_NO_TICKET


@pytest.mark.parametrize("side", Side)
def test_nobody_negotiates_a_second_time_or_compresses(side):
    """CVE-2009-3555, CRIME: what TLS 1.2 could do, and nothing here wants."""
    pki = shared_pki()
    held = pki.network if side is Side.SERVER else pki.device
    both = TlsChoices(tls_versions=(TlsVersion.TLS_1_3, TlsVersion.TLS_1_2))
    options = TlsContext(side, TlsCredentials(held.chain, held.key), [pki.ci.certificate], both)._context.set_options(0)
    assert options & SSL.OP_NO_RENEGOTIATION
    assert options & SSL.OP_NO_COMPRESSION


def test_openssl_is_told_of_so_many_issuers_and_no_more(monkeypatch):
    """Its store takes no certificate back."""
    pki, told = shared_pki(), []
    made = TlsContext(Side.SERVER, TlsCredentials(pki.network.chain, pki.network.key), [pki.ci.certificate])
    monkeypatch.setattr(X509Store, "add_cert", lambda _store, certificate: told.append(certificate))
    for _ in range(MOST_KNOWN + 5):
        made.know(pki.eum.certificate)
    assert len(told) == MOST_KNOWN


def test_what_a_stranger_can_have_us_parse_is_bounded():
    """CVE-2022-0778 and its like were loops and overflows in parsing: small inputs leave them less."""
    assert LARGEST_CERTIFICATE <= 8192
    assert MOST_INTERMEDIATES <= 8
