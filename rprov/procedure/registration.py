"""What the CP knows of a UE on its way in: a candidate that has proved nothing, then a registration."""

from dataclasses import dataclass
from datetime import timedelta

from rprov.auth.scheme import NetworkScheme
from rprov.crypto.hierarchy import KAmf
from rprov.crypto.x509_crl import CertificateId
from rprov.model.identifiers import Eid, Guti, Supi
from rprov.model.records import ContextRecord, ContextState, DeviceRecord
from rprov.model.security import Algorithms, Scope
from rprov.procedure.engines import CpEnv
from rprov.wire.messages import AttachRequest


@dataclass(frozen=True, slots=True)
class Candidate:
    """A UE that has proved nothing yet; `raw` are the octets of its request, `record` what the store knows.

    `path` names the certificates that have proved it, once they have; `certificate` says which its own is.
    """

    request: AttachRequest
    raw: bytes
    scope: Scope
    algorithms: Algorithms
    ksi: int
    record: DeviceRecord | None = None
    resynchronised: bool = False
    path: frozenset[CertificateId] = frozenset()
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class Challenged:
    """A candidate with the scheme that step 2 runs; `supi` is who it claims to be, if it claims to be a subscriber."""

    candidate: Candidate
    scheme: NetworkScheme
    supi: Supi | None


@dataclass(frozen=True, slots=True)
class Resynchronising:
    """A candidate whose USIM has told its sequence number (AUTS)."""

    candidate: Candidate
    supi: Supi
    sqn_ms: int


@dataclass(frozen=True, slots=True)
class Registration:
    """A UE that is let in: who it is, its temporary name, what it may do and until when (monotonic seconds)."""

    identity: Eid | Supi
    guti: Guti
    scope: Scope
    expires_at: float


def register(candidate: Candidate, identity: Eid | Supi, env: CpEnv) -> Registration:
    """Give a UE a fresh random GUTI, and its scope an end (TS 33.501 6.12.3)."""
    policy = env.policy
    guti = Guti(policy.plmn, policy.cp_id, int.from_bytes(env.entropy(4)))
    return Registration(identity, guti, candidate.scope, env.now + lifetime(candidate.scope, env))


def lifetime(scope: Scope, env: CpEnv) -> float:
    """Seconds that a registration lasts without a sign of life; a provisioning scope ends whatever happens."""
    if scope is Scope.PROVISIONING and env.policy.provisioning is not None:
        return float(env.policy.provisioning.lifetime)
    # The implicit detach timer: T3512 and four minutes (TS 24.501 5.3.7).
    return env.policy.timers.t3512 + 240


def context_record(registration: Registration, candidate: Candidate, k_amf: KAmf, env: CpEnv) -> ContextRecord:
    """What the store keeps of it."""
    return ContextRecord(
        guti=registration.guti,
        identity=registration.identity,
        scope=registration.scope,
        state=ContextState.REGISTERED,
        ksi=candidate.ksi,
        k_amf=k_amf,
        algorithms=candidate.algorithms,
        capability=candidate.request.capability,
        expires_at=env.wall + timedelta(seconds=lifetime(registration.scope, env)),
    )
