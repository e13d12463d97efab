"""The network's side of EAP-TLS as its files say it, and read again on SIGHUP. Decides nothing about certificates."""

from datetime import UTC, datetime

from cryptography.x509 import Certificate

from rprov.auth.eap_tls import PACKET_SIZE, EapTlsServerEngines
from rprov.crypto.x509 import Role
from rprov.model.aaa import AaaSettings
from rprov.model.settings import CpSettings
from rprov.model.trust import (
    DeviceRoles,
)
from rprov.store.crl import load_revocations
from rprov.store.pki import load_anchors
from rprov.wiring.node import credentials

_ROLES = {
    DeviceRoles.DEVICE: frozenset({Role.DEVICE}),
    DeviceRoles.EUICC: frozenset({Role.EUICC}),
    DeviceRoles.BOTH: frozenset({Role.DEVICE, Role.EUICC}),
}


class CpCertificates:
    """Engines for one exchange after the other. A TLS context is made anew only where certificates are others."""

    def __init__(self, settings: CpSettings | AaaSettings, fragment: int = PACKET_SIZE) -> None:
        self._settings = settings
        self._fragment = fragment
        self._made_of: tuple[tuple[Certificate, ...], tuple[Certificate, ...]] = ((), ())
        self.engines: EapTlsServerEngines
        self.reload()

    def reload(self) -> None:
        """Read certificates and CRLs; raises `ConfigError`, and then everything stays as it was."""
        devices = self._settings.devices
        given = credentials(self._settings.certificate)
        anchors = load_anchors(devices.anchors)
        revoked = load_revocations(devices.crls, anchors, datetime.now(UTC), required=devices.require_crl)
        if (given.chain, anchors) != self._made_of:
            self.engines = EapTlsServerEngines(
                given,
                anchors,
                devices.eum_prefixes,
                _ROLES[devices.roles],
                fragment=self._fragment,
                choices=self._settings.eap_tls,
            )
            self._made_of = given.chain, anchors
        self.engines.revoked = revoked
