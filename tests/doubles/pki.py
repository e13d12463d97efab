"""A whole test PKI, made in the test run from seeded entropy: the good certificates and the wrong ones.

    pki = Pki()                      everything on P-256, valid from 2026-01-01, `NOW` is 2026-06-01
    pki.ci, pki.eum, pki.euicc, pki.device, pki.dp_tls, pki.dp_auth, pki.dp_pb, pki.network_ca, pki.network
    each is `Held(certificate, key, issuers)`; `.chain` is what its owner sends (leaf first, no root)

Making one is lazy and takes milliseconds; `shared_pki()` gives the same one to a whole test session.
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from rprov.crypto import issue
from rprov.crypto.x509 import Role
from rprov.model.identifiers import Eid, Plmn

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
PLMN = Plmn("001", "01")
OTHER_PLMN = Plmn("999", "70")
ORGANIZATION = "RSP Test EUM"
EID_PREFIX = "89049032"
EID = Eid.with_check_digits("890490321234512345123456789012")
OTHER_EID = Eid.with_check_digits("890490321234512345123456789013")
FOREIGN_EID = Eid.with_check_digits("890445000000000000000000000001")
"""An EID that the EUM of this PKI may not issue."""
SMDP_FQDN = "smdp.example.com"
SMDP_OID = "2.999.10"


def seeded(seed: str = "rprov") -> Callable[[int], bytes]:
    """A deterministic stream of octets, for whatever takes entropy."""
    counter = 0

    def entropy(size: int) -> bytes:
        nonlocal counter
        counter += 1
        return hashlib.shake_256(f"{seed}/{counter}".encode()).digest(size)

    return entropy


class Held(NamedTuple):
    """A certificate, its private key, and the CA certificates that its owner sends along."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    issuers: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        return (self.certificate, *self.issuers)


class Pki:
    """One CI with an EUM, and one network CA, and everything below them."""

    def __init__(self, curve: str = "P-256", seed: str = "pki") -> None:
        self.curve = curve
        self.entropy = seeded(f"{seed}/{curve}")

    def new_key(self) -> ec.EllipticCurvePrivateKey:
        return issue.private_key(self.entropy, self.curve)

    def terms(self, **over: Any) -> Any:
        return {"now": START, "days": 3650, "entropy": self.entropy, **over}

    # --- makers: each takes `Terms` overrides, to make a certificate that is wrong in one point ---

    def make_ci(self, **over: Any) -> Held:
        key = self.new_key()
        return Held(issue.make_ci(key, **self.terms(**over)), key)

    def make_eum(
        self,
        ci: Held | None = None,
        prefix: str = EID_PREFIX,
        form: str = "nameConstraints",
        organization: str = ORGANIZATION,
        **over: Any,
    ) -> Held:
        ci = ci or self.ci
        key = self.new_key()
        made = issue.make_eum(
            ci.certificate, ci.key, key.public_key(), organization, prefix, form, **self.terms(**over)
        )
        return Held(made, key, (made,))

    def make_euicc(self, eid: Eid = EID, eum: Held | None = None, **over: Any) -> Held:
        eum = eum or self.eum
        key = self.new_key()
        made = issue.make_euicc(eum.certificate, eum.key, key.public_key(), eid, **self.terms(**over))
        return Held(made, key, eum.issuers)

    def make_device(self, eid: Eid = EID, eum: Held | None = None, **over: Any) -> Held:
        eum = eum or self.eum
        key = self.new_key()
        made = issue.make_device(eum.certificate, eum.key, key.public_key(), eid, **self.terms(**over))
        return Held(made, key, eum.issuers)

    def make_dp_tls(self, ci: Held | None = None, fqdn: str = SMDP_FQDN, oid: str = SMDP_OID, **over: Any) -> Held:
        ci = ci or self.ci
        key = self.new_key()
        return Held(issue.make_dp_tls(ci.certificate, ci.key, key.public_key(), fqdn, oid, **self.terms(**over)), key)

    def make_dp_auth(self, ci: Held | None = None, oid: str = SMDP_OID, **over: Any) -> Held:
        ci = ci or self.ci
        key = self.new_key()
        return Held(issue.make_dp_auth(ci.certificate, ci.key, key.public_key(), oid, **self.terms(**over)), key)

    def make_dp_pb(self, ci: Held | None = None, oid: str = SMDP_OID, **over: Any) -> Held:
        ci = ci or self.ci
        key = self.new_key()
        return Held(issue.make_dp_pb(ci.certificate, ci.key, key.public_key(), oid, **self.terms(**over)), key)

    def make_network_ca(self, **over: Any) -> Held:
        key = self.new_key()
        return Held(issue.make_network_ca(key, **self.terms(**over)), key)

    def make_network(self, plmn: Plmn = PLMN, ca: Held | None = None, **over: Any) -> Held:
        ca = ca or self.network_ca
        key = self.new_key()
        names = over.pop("names", [plmn.cp_name])
        made = issue.make_network(ca.certificate, ca.key, key.public_key(), names, **self.terms(**over))
        return Held(made, key, ca.issuers)

    # --- the good ones ---

    @cached_property
    def ci(self) -> Held:
        return self.make_ci()

    @cached_property
    def eum(self) -> Held:
        return self.make_eum()

    @cached_property
    def euicc(self) -> Held:
        return self.make_euicc()

    @cached_property
    def device(self) -> Held:
        return self.make_device()

    @cached_property
    def other_device(self) -> Held:
        """A good device with another EID."""
        return self.make_device(OTHER_EID)

    @cached_property
    def dp_tls(self) -> Held:
        return self.make_dp_tls()

    @cached_property
    def dp_auth(self) -> Held:
        return self.make_dp_auth()

    @cached_property
    def dp_pb(self) -> Held:
        return self.make_dp_pb()

    @cached_property
    def network_ca(self) -> Held:
        return self.make_network_ca()

    @cached_property
    def network(self) -> Held:
        return self.make_network()

    @cached_property
    def network_sub_ca(self) -> Held:
        key = self.new_key()
        made = issue.make_network_sub_ca(
            self.network_ca.certificate, self.network_ca.key, key.public_key(), **self.terms()
        )
        return Held(made, key, (made,))

    @cached_property
    def network_below_sub_ca(self) -> Held:
        """A network whose certificate hangs under a CA below the anchor."""
        return self.make_network(ca=self.network_sub_ca)

    # --- the wrong ones, as a network sees devices ---

    @cached_property
    def other_ci(self) -> Held:
        return self.make_ci(name="another CI")

    @cached_property
    def device_of_other_ci(self) -> Held:
        return self.make_device(eum=self.make_eum(self.other_ci))

    @cached_property
    def expired_device(self) -> Held:
        return self.make_device(not_after=NOW - timedelta(days=1))

    @cached_property
    def expired_eum_device(self) -> Held:
        return self.make_device(eum=self.make_eum(not_after=NOW - timedelta(days=1)))

    @cached_property
    def future_device(self) -> Held:
        return self.make_device(not_before=NOW + timedelta(days=1))

    @cached_property
    def foreign_device(self) -> Held:
        """Its EID is outside what its EUM may issue."""
        return self.make_device(FOREIGN_EID)

    @cached_property
    def unvouched_device(self) -> Held:
        """Nothing in the EUM's certificate says which EIDs it may issue."""
        return self.make_device(eum=self.make_eum(form="none"))

    @cached_property
    def extension_device(self) -> Held:
        """A good one, whose EUM uses the extension of SGP.22 v3."""
        return self.make_device(eum=self.make_eum(form="extension"))

    @cached_property
    def roleless_device(self) -> Held:
        return self.make_device(policies=())

    @cached_property
    def two_faced_device(self) -> Held:
        return self.make_device(policies=(Role.DEVICE.oid, Role.DP_AUTH.oid))

    @cached_property
    def eum_with_wrong_role(self) -> Held:
        return self.make_device(eum=self.make_eum(policies=(Role.EUICC.oid,)))

    # --- the wrong ones, as a device sees networks ---

    @cached_property
    def network_of_other_plmn(self) -> Held:
        return self.make_network(OTHER_PLMN)

    @cached_property
    def other_network_ca(self) -> Held:
        return self.make_network_ca(name="another network CA")

    @cached_property
    def network_of_other_anchor(self) -> Held:
        return self.make_network(ca=self.other_network_ca)

    @cached_property
    def network_with_gsma_role(self) -> Held:
        return self.make_network(policies=(Role.DP_TLS.oid,))

    @cached_property
    def network_with_device_role(self) -> Held:
        return self.make_network(policies=(Role.DEVICE.oid,))

    @cached_property
    def network_without_server_auth(self) -> Held:
        return self.make_network(extended_usage=(ExtendedKeyUsageOID.CLIENT_AUTH,))

    @cached_property
    def network_without_usage(self) -> Held:
        return self.make_network(extended_usage=())

    @cached_property
    def expired_network(self) -> Held:
        return self.make_network(not_after=NOW - timedelta(days=1))

    @cached_property
    def future_network(self) -> Held:
        return self.make_network(not_before=NOW + timedelta(days=1))


def shared_pki(curve: str = "P-256") -> Pki:
    """The PKI that tests of one session share; they must not change it."""
    return _made(curve)


@lru_cache(maxsize=4)
def _made(curve: str) -> Pki:
    return Pki(curve)
