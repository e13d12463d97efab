"""What handlers may ask the wiring to make: codecs and authentication schemes, one per UE and exchange."""

from collections.abc import Callable
from dataclasses import dataclass

from rprov.auth.scheme import NetworkScheme, PeerScheme
from rprov.model.env import Env
from rprov.model.identifiers import Eid, EidHint, Plmn, Suci, Supi
from rprov.model.policy import CpPolicy, RanPolicy, UePolicy
from rprov.model.records import SubscriberRecord
from rprov.wire.codec import NasCodec


def everybody(_eid: Eid, _now: float) -> bool:
    """Count nothing."""
    return True


@dataclass(frozen=True, slots=True)
class CpEngines:
    """Factories of the CP."""

    codec: NasCodec
    certificate: "CertificateFactory"
    aka: "AkaFactory"
    reveal: Callable[[Suci], Supi]
    """De-conceal a SUCI with the home network's keys; raises `Refused`."""
    admit: Callable[[Eid, float], bool] = everybody
    """Count an attempt of this EID, whose certificate is proved, now; says whether it may go on (design rule 8)."""


CertificateFactory = Callable[[Eid | EidHint, Env["CpPolicy", "CpEngines"]], NetworkScheme]
"""A certificate scheme for one UE that claims this EID, or one that begins so."""

AkaFactory = Callable[[SubscriberRecord, Env["CpPolicy", "CpEngines"]], NetworkScheme]
"""An AKA scheme for one run with this record's fresh sequence number."""


@dataclass(frozen=True, slots=True)
class UeEngines:
    """Factories of the UE."""

    codec: NasCodec
    certificate: "Callable[[Plmn, Env[UePolicy, UeEngines]], PeerScheme]"
    """A certificate scheme towards this announced network."""
    aka: "Callable[[Plmn, Env[UePolicy, UeEngines]], PeerScheme]"
    """An AKA scheme with the enabled profile's USIM."""


CpEnv = Env[CpPolicy, CpEngines]
UeEnv = Env[UePolicy, UeEngines]
RanEnv = Env[RanPolicy, None]
