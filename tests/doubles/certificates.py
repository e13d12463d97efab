"""EAP-TLS with the certificates of the test PKI, as the two factories that `World` takes.

World(certificate=cp_side(), ue_certificate=ue_side(pki.expired_device))
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from doubles.pki import Held, shared_pki

from rprov.auth.eap_tls import EapTlsPeerEngines, EapTlsServerEngines
from rprov.auth.scheme import NetworkScheme, PeerScheme
from rprov.crypto.tls_context import TlsCredentials
from rprov.crypto.x509 import subject_key_id
from rprov.model.identifiers import Eid, Plmn


def credentials(held: Held) -> TlsCredentials:
    return TlsCredentials(held.chain, held.key)


@lru_cache(maxsize=1)
def _good_cp() -> EapTlsServerEngines:
    pki = shared_pki()
    return EapTlsServerEngines(credentials(pki.network), [pki.ci.certificate])


@lru_cache(maxsize=1)
def _good_ue() -> EapTlsPeerEngines:
    pki = shared_pki()
    return EapTlsPeerEngines(credentials(pki.device), [pki.network_ca.certificate])


def cp_side(
    network: Held | None = None, anchors: Sequence[Held] | None = None, **options: Any
) -> Callable[[Eid, Any], NetworkScheme]:
    """The CP with its certificate, trusting these CIs."""
    if network is None and anchors is None and not options:
        engines = _good_cp()
    else:
        pki = shared_pki()
        trusted = [held.certificate for held in anchors or (pki.ci,)]
        engines = EapTlsServerEngines(credentials(network or pki.network), trusted, **options)
    return lambda eid, env: engines.scheme(eid, env.policy.plmn.serving_network_name, env.wall)


def ue_side(device: Held | None = None, anchors: Sequence[Held] | None = None) -> Callable[[Plmn, Any], PeerScheme]:
    """The UE with its certificate, trusting these CAs of networks."""
    if device is None and anchors is None:
        engines = _good_ue()
    else:
        pki = shared_pki()
        trusted = [held.certificate for held in anchors or (pki.network_ca,)]
        engines = EapTlsPeerEngines(credentials(device or pki.device), trusted)
    return lambda plmn, env: engines.scheme(plmn, env.wall)


def key_id(certificate: Any) -> bytes:
    return subject_key_id(certificate)
