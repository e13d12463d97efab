"""A directory with all that an AAA server needs: a PKI of today, a secret, certificates for RADIUS over TLS.

place = AaaPlace(tmp_path); settings = place.settings(); place.device() -> Device; place.secret
"""

import os
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from doubles.pki import EID, EID_PREFIX, PLMN, SMDP_FQDN, Held
from doubles.radius_nas import Device

from rprov.crypto import issue
from rprov.model.aaa import AaaSettings, RadiusClient, RadiusListen, RadsecListen
from rprov.model.kinds import Fqdn, ReadPath
from rprov.model.trust import (
    CredentialFiles,
    DeviceTrust,
)
from rprov.store.pki import Issuing, init_pki, issue_device, load_chain, load_key
from rprov.wire.radius import SharedSecret

CLIENT_NAME = "cp.example.org"
SERVER_NAME = "aaa.example.org"
SECRET = SharedSecret(b"a secret of more than 16")


class AaaPlace:
    """Files below one directory; certificates are of now, because the daemon looks at the clock."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.now = datetime.now(UTC)
        self.issuing = Issuing(self.now - timedelta(days=1), os.urandom, 30)
        init_pki(place, self.issuing, PLMN, SMDP_FQDN, EID_PREFIX)
        issue_device(place, self.issuing, EID)
        self.write_secret(SECRET.octets)
        self._radsec_ca_key = self.issuing.key()
        self.radsec_ca = issue.make_network_ca(self._radsec_ca_key, **self.issuing.terms)
        self._write("radsec-ca", self._radsec_ca_key, self.radsec_ca)
        self.radsec("radsec-server", SERVER_NAME, ExtendedKeyUsageOID.SERVER_AUTH)
        self.radsec("radsec-client", CLIENT_NAME, ExtendedKeyUsageOID.CLIENT_AUTH)

    def write_secret(self, octets: bytes, mode: int = 0o600) -> None:
        path = self.place / "secret"
        path.write_bytes(octets + b"\n")
        path.chmod(mode)

    def radsec(self, name: str, fqdn: str, usage: x509.ObjectIdentifier) -> None:
        """Make a certificate for RADIUS over TLS."""
        key = self.issuing.key()
        made = issue.make_network(
            self.radsec_ca,
            self._radsec_ca_key,
            key.public_key(),
            [fqdn],
            extended_usage=(usage,),
            **self.issuing.terms,
        )
        self._write(name, key, made)

    def other_radsec_ca(self) -> None:
        """Have another authority certify clients: the file is exchanged, and later certificates are of it."""
        self._radsec_ca_key = self.issuing.key()
        self.radsec_ca = issue.make_network_ca(self._radsec_ca_key, name="another", **self.issuing.terms)
        self._write("radsec-ca", self._radsec_ca_key, self.radsec_ca)

    def radsec_crl(self, *names: str, days: int = 7, ago: timedelta = timedelta()) -> Path:
        """Write the CRL of whoever certifies clients."""
        when = self.now.replace(microsecond=0) - timedelta(hours=1) - ago
        revoked = {load_chain(self.place / f"{name}.pem")[0].serial_number: when for name in names}
        crl = issue.make_crl(self.radsec_ca, self._radsec_ca_key, revoked, 1, when, days)
        path = self.place / "radsec.crl"
        path.write_bytes(crl.public_bytes(Encoding.PEM))
        return path

    def make_plain_device(self) -> None:
        """A device whose EUM has no nameConstraints: OpenSSL does not know that SGP.22 means a prefix there."""
        ci, ci_key = load_chain(self.place / "ci.pem")[0], load_key(self.place / "ci.key")
        eum_key, key = self.issuing.key(), self.issuing.key()
        terms = self.issuing.terms
        eum = issue.make_eum(ci, ci_key, eum_key.public_key(), "plain EUM", EID_PREFIX, "extension", **terms)
        leaf = issue.make_device(eum, eum_key, key.public_key(), EID, **terms)
        self._write("plain", key, leaf, eum)

    def credentials(self, name: str) -> CredentialFiles:
        return CredentialFiles(
            chain=ReadPath(self.place / f"{name}.pem"),
            key=ReadPath(self.place / f"{name}.key"),
        )

    def settings(self, radsec: bool = False, network: str = "127.0.0.1/32", **over: Any) -> AaaSettings:
        """A server that takes free ports."""
        client = RadiusClient(name="cp", network=IPv4Network(network), secret=ReadPath(self.place / "secret"))
        stream = RadsecListen(
            port=0,
            certificate=self.credentials("radsec-server"),
            anchors=(ReadPath(self.place / "radsec-ca.pem"),),
            clients=(Fqdn(CLIENT_NAME),),
        )
        given: dict[str, Any] = {
            "radius": RadiusListen(port=0),
            "clients": (client,),
            "radsec": stream if radsec else None,
            "certificate": self.credentials("cp"),
            "devices": DeviceTrust(anchors=(ReadPath(self.place / "ci.pem"),)),
        }
        return AaaSettings(**{**given, **over})

    def held(self, name: str) -> Held:
        leaf, *issuers = load_chain(self.place / f"{name}.pem")
        return Held(leaf, load_key(self.place / f"{name}.key"), tuple(issuers))

    def device(self, name: str = "device", **options: Any) -> Device:
        """The device, believing in the network CA."""
        return Device(self.held(name), load_chain(self.place / "network-ca.pem"), at=self.now, **options)

    def _write(self, name: str, key: ec.EllipticCurvePrivateKey, *chain: x509.Certificate) -> None:
        (self.place / f"{name}.pem").write_bytes(b"".join(item.public_bytes(Encoding.PEM) for item in chain))
        path = self.place / f"{name}.key"
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        path.chmod(0o600)
