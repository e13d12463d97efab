"""The network's side of EAP-TLS as its files say it, and read again on SIGHUP. Decides nothing about certificates."""

from collections.abc import Callable
from datetime import UTC, datetime

from cryptography.x509 import Certificate

from rprov.auth.eap_tls import PACKET_SIZE, EapTlsServerEngines
from rprov.crypto.tls_context import TlsCredentials
from rprov.crypto.x509 import Role
from rprov.errors import Misuse
from rprov.model.aaa import AaaSettings
from rprov.model.settings import CpSettings
from rprov.model.trust import (
    DeviceRoles,
)
from rprov.store.crl import load_revocations
from rprov.store.pki import load_anchors
from rprov.wiring.node import credentials
from rprov.wiring.staple import StapleFile

_ROLES = {
    DeviceRoles.DEVICE: frozenset({Role.DEVICE}),
    DeviceRoles.EUICC: frozenset({Role.EUICC}),
    DeviceRoles.BOTH: frozenset({Role.DEVICE, Role.EUICC}),
}


class CpCertificates:
    """Engines for one exchange after the other. A TLS context is made anew only where certificates are others."""

    def __init__(
        self, settings: CpSettings | AaaSettings, fragment: int = PACKET_SIZE, ask_identity: bool = False
    ) -> None:
        if settings.certificate is None or settings.devices is None:
            raise Misuse("who asks AAA servers has no certificate of its own in EAP-TLS")
        self._settings = settings
        self._files, self._devices = settings.certificate, settings.devices
        self._ask_identity = ask_identity
        self._fragment = fragment
        self._made_of: tuple[tuple[Certificate, ...], tuple[Certificate, ...]] = ((), ())
        self._engines: EapTlsServerEngines
        self._key_log: Callable[[bytes], None] | None = None
        self._staple = StapleFile(settings.staple)
        self.reload()

    @property
    def engines(self) -> EapTlsServerEngines:
        """The engines as the files say it now; a staple that was exchanged is read before it is used."""
        self._engines.staple = self._staple.refreshed()
        return self._engines

    def log_keys(self, log: Callable[[bytes], None]) -> None:
        """Give the secrets of every handshake to `log`, also after certificates were exchanged."""
        self._key_log = log
        self._engines.log_keys(log)

    def reload(self) -> None:
        """Read certificates, CRLs and OCSP responses; raises `ConfigError`, and then everything stays as it was."""
        devices, now = self._devices, datetime.now(UTC)
        given = credentials(self._files)
        anchors = load_anchors(devices.anchors)
        revoked = load_revocations(devices.crls, anchors, now, required=devices.require_crl, ocsp=devices.ocsp)
        engines = self._engines if (given.chain, anchors) == self._made_of else self._made(given, anchors)
        self._staple.read(given.chain, now)  # the last that may be refused
        self._engines, self._made_of = engines, (given.chain, anchors)
        self._engines.revoked = revoked

    def _made(self, given: TlsCredentials, anchors: tuple[Certificate, ...]) -> EapTlsServerEngines:
        engines = EapTlsServerEngines(
            given,
            anchors,
            self._devices.eum_prefixes,
            _ROLES[self._devices.roles],
            fragment=self._fragment,
            choices=self._settings.eap_tls,
        )
        engines.ask_identity = self._ask_identity
        if self._key_log is not None:
            engines.log_keys(self._key_log)
        return engines
