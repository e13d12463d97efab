"""Several authorities at once: CIs that a network believes about devices, CAs that a device believes about networks."""

from collections.abc import Sequence
from functools import lru_cache

import pytest
from doubles.eap_tls_run import Run
from doubles.pki import Pki, shared_pki

from rprov.auth.eap_tls import EapTlsPeerEngines, EapTlsServerEngines
from rprov.auth.scheme import Failed
from rprov.causes import Cause
from rprov.crypto.tls_context import TlsCredentials


@lru_cache(maxsize=1)
def pkis() -> tuple[Pki, ...]:
    """Three industries: the second has authorities of the very names of the first, the third another curve."""
    return shared_pki(), Pki(seed="others"), shared_pki("brainpoolP256r1")


def network(believed: Sequence[Pki], own: Pki) -> EapTlsServerEngines:
    credentials = TlsCredentials(own.network.chain, own.network.key)
    return EapTlsServerEngines(credentials, [pki.ci.certificate for pki in believed])


def device(believed: Sequence[Pki], own: Pki) -> EapTlsPeerEngines:
    credentials = TlsCredentials(own.device.chain, own.device.key)
    return EapTlsPeerEngines(credentials, [pki.network_ca.certificate for pki in believed])


def test_the_authorities_are_others_of_the_same_name():
    first, second, _ = pkis()
    assert first.ci.certificate.subject == second.ci.certificate.subject
    assert first.ci.certificate != second.ci.certificate


@pytest.mark.parametrize("order", [1, -1])
def test_each_device_is_believed_under_its_own_ci(order):
    cp = network(pkis()[::order], pkis()[0])
    for pki in (*pkis(), *pkis()):  # the second time OpenSSL knows the EUMs, too
        run = Run(cp, device(pkis()[:1], pki))
        assert run.ok, run.outcome
        assert run.proved.eid.digits in pki.device.certificate.subject.rfc4514_string()


@pytest.mark.parametrize("missing", range(3))
def test_a_ci_that_is_not_on_the_list_is_refused_whatever_else_is(missing):
    believed = [pki for index, pki in enumerate(pkis()) if index != missing]
    cp = network(believed, pkis()[0])
    for pki in believed:
        assert Run(cp, device(pkis()[:1], pki)).ok
    run = Run(cp, device(pkis()[:1], pkis()[missing]))
    assert isinstance(run.outcome, Failed)
    assert run.outcome.cause in (Cause.UNKNOWN_CI, Cause.CERTIFICATE_INVALID)
    assert run.proved is None
    assert run.k_ausf is None


def test_a_device_under_the_eum_of_another_ci_is_refused():
    """The chain of one industry, the leaf of another: names and roles fit, the signature does not."""
    first, second, _ = pkis()
    mixed = TlsCredentials((first.device.certificate, second.eum.certificate), first.device.key)
    run = Run(network(pkis(), first), EapTlsPeerEngines(mixed, [first.network_ca.certificate]))
    assert isinstance(run.outcome, Failed)
    assert run.k_ausf is None


@pytest.mark.parametrize("order", [1, -1])
def test_a_device_believes_each_of_its_networks_and_no_other(order):
    for pki in pkis():
        assert Run(network(pkis()[:1], pki), device(pkis()[::order], pkis()[0])).ok
    run = Run(network(pkis()[:1], pkis()[1]), device(pkis()[::2], pkis()[0]))
    assert isinstance(run.outcome, Failed)
    assert run.refusal.message.cause in (Cause.NETWORK_ANCHOR_UNKNOWN, Cause.NETWORK_CERTIFICATE_INVALID)
    assert run.k_ausf is None
