"""Why a UE attaches, and which step of the whole procedure a message belongs to."""

from dataclasses import dataclass, replace
from enum import Enum, IntEnum

from rprov.model.identifiers import Eid, Imsi, Plmn, Supi
from rprov.model.session import SessionKind
from rprov.wire.messages import AttachType


class Step(IntEnum):
    """The steps of TR 23.799 solution 12.X."""

    ATTACH_REQUEST = 1
    AUTHENTICATE = 2
    ATTACH = 3
    SESSION = 4
    PROVISION = 5
    DETACH = 6
    REATTACH = 7


class Purpose(Enum):
    """What the UE is after."""

    PROVISIONING = "provisioning"
    ORDINARY = "ordinary"
    ORDINARY_THEN_DOWNLOAD = "ordinaryThenDownload"

    @property
    def attach_type(self) -> AttachType:
        """The attach type that says so on the wire."""
        return AttachType.REMOTE_PROVISIONING if self is Purpose.PROVISIONING else AttachType.INITIAL

    @property
    def session_kind(self) -> SessionKind:
        """The session that follows."""
        return SessionKind.PROVISIONING if self is Purpose.PROVISIONING else SessionKind.ORDINARY

    @property
    def downloads(self) -> bool:
        """Whether a profile is fetched over the session."""
        return self is not Purpose.ORDINARY

    def step(self, step: Step) -> Step:
        """The step of the whole procedure: the ordinary attach at its end is wholly step 7."""
        return Step.REATTACH if self is Purpose.ORDINARY else step


@dataclass(frozen=True, slots=True)
class Subscription:
    """What the enabled profile says about attaching: who, at home where, and how the SUPI is concealed.

    `subscriber` is an IMSI, or a SUPI of the NAI kind.
    """

    subscriber: Imsi | Supi
    home: Plmn
    routing_indicator: str = "0"
    scheme: int = 0
    key_id: int = 0
    public_key: bytes | None = None

    @property
    def supi(self) -> Supi:
        """What names the subscriber in K_AMF and in EAP-AKA'."""
        return self.subscriber if isinstance(self.subscriber, Supi) else Supi.of_imsi(self.subscriber)


@dataclass(frozen=True, slots=True)
class Intent:
    """One attach that a UE is about: why, as whom, and which try it is. `eid` is what a subscriber falls back to."""

    purpose: Purpose
    identity: Eid | Subscription
    eid: Eid | None = None
    attempt: int = 1
    fallen_back: bool = False

    def again(self) -> "Intent":
        """The next try."""
        return replace(self, attempt=self.attempt + 1)
