"""A capture as rows: each message with its UE, its direction and its step of the overall procedure.

Owns what follows from messages that came before: which end of a link is the UE's, whose tunnel a TEID is, why a UE
attaches, which EID it claims. Whoever has keys hands in an `Opener`, and what it opens is shown in the place of what is
ciphered.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from rprov.model.identifiers import Eid
from rprov.model.tap import End, LinkName
from rprov.procedure.message_steps import STEP_OF
from rprov.procedure.purpose import Purpose, Step
from rprov.trace.capture import Captured
from rprov.trace.reading import Reading, read_message
from rprov.wire.eap import Response
from rprov.wire.gtpu import ErrorIndication, Gpdu, PduType
from rprov.wire.link import (
    InitialContextSetupFailure,
    InitialContextSetupRequest,
    InitialContextSetupResponse,
    N2SetupRequest,
    SessionResourceSetupRequest,
    SessionResourceSetupResponse,
)
from rprov.wire.messages import AttachRequest, AttachType, IdentityResponse
from rprov.wire.radio import CellInfo, RrcSetup

UPLINK, DOWNLINK = "uplink", "downlink"

Opener = Callable[[Captured], Reading | None]
"""Reads a message that is ciphered, with keys; None where it cannot."""

_ACCESS = (InitialContextSetupRequest, InitialContextSetupResponse, InitialContextSetupFailure)


@dataclass(frozen=True, slots=True)
class Row:
    """One message."""

    frame: int
    time: float
    """Seconds since 1970."""
    link: str
    ue: int | None
    """ueRadioId on the radio, ranUeId on N2, and what N2 tells of tunnels on N3."""
    step: int | None
    """1 to 7; None where the capture does not tell without keys."""
    direction: str | None
    message: str
    fields: dict[str, Any]
    protected: bool
    eid: str | None
    """What the UE has claimed to be, in this capture, before or with this message."""

    def as_json(self) -> dict[str, Any]:
        """Give the row as `rprov trace decode --json` writes it."""
        return {
            "frame": self.frame,
            "time": round(self.time, 6),
            "link": str(self.link),
            "ue": self.ue,
            "step": self.step,
            "direction": self.direction,
            "message": self.message,
            "fields": self.fields,
            "protected": self.protected,
        }


def decode(messages: Iterable[Captured], opener: Opener | None = None) -> Iterator[Row]:
    """Give each message as a row, in their order."""
    follower = _Follower()
    for seen in messages:
        reading = read_message(seen)
        if opener is not None and reading.value is None and not seen.fault:
            reading = opener(seen) or reading
        yield follower.row(seen, reading)


class _Follower:
    def __init__(self) -> None:
        self._lower: dict[tuple[str, frozenset[End]], End] = {}
        self._purposes: dict[int, Purpose] = {}
        self._eids: dict[int, str] = {}
        self._tunnels: dict[tuple[End, int], int] = {}
        self._planes: dict[End, str] = {}
        """Which way that goes what an end of N3 sends."""

    def row(self, seen: Captured, reading: Reading) -> Row:
        seen = self._with_ue(seen, reading)
        self._learn(seen, reading)
        eid = None if seen.ue is None else self._eids.get(seen.ue)
        return Row(
            seen.frame,
            seen.at,
            seen.link,
            seen.ue,
            self._step(seen, reading),
            self._direction(seen, reading),
            reading.message,
            reading.fields,
            reading.protected,
            eid,
        )

    def _with_ue(self, seen: Captured, reading: Reading) -> Captured:
        match reading.value:
            case Gpdu(teid=teid) if seen.ue is None:
                return replace(seen, ue=self._tunnels.get((seen.receiver, teid)))
            case ErrorIndication(teid=teid):  # from the end that does not know the tunnel any more
                return replace(seen, ue=self._tunnels.get((seen.sender, teid)))
            case RrcSetup(ue_radio_id=ue):
                return replace(seen, ue=int(ue))
            case _:
                return seen

    def _learn(self, seen: Captured, reading: Reading) -> None:
        value, ue = reading.value, seen.ue
        if ue is None:
            return
        match value:
            case AttachRequest(attach_type=kind, identity=identity):
                provisioning = kind is AttachType.REMOTE_PROVISIONING
                self._purposes[ue] = Purpose.PROVISIONING if provisioning else Purpose.ORDINARY
                if isinstance(identity, Eid):
                    self._eids[ue] = identity.digits
            case IdentityResponse(identity=Eid() as identity):
                self._eids[ue] = identity.digits
            case SessionResourceSetupRequest(uplink=end) | SessionResourceSetupResponse(downlink=end):
                place = str(end.address), end.port
                self._tunnels[place, end.teid] = ue
                self._planes[place] = DOWNLINK if isinstance(value, SessionResourceSetupRequest) else UPLINK

    def _step(self, seen: Captured, reading: Reading) -> int | None:
        if seen.link == LinkName.AAA or isinstance(reading.value, N2SetupRequest | CellInfo):
            return None
        purpose = None if seen.ue is None else self._purposes.get(seen.ue)
        natural = _natural_step(seen, reading)
        if purpose is None:
            # Nobody knows yet why this UE attaches.
            return int(natural) if natural is Step.PROVISION else None
        return int(purpose.step(natural)) if natural is not None else _only_step(purpose)

    def _direction(self, seen: Captured, reading: Reading) -> str | None:
        """Tell it by the message where that says it, else by who began on this link: always the lower end."""
        value = reading.value
        if seen.link == LinkName.EAP:
            return UPLINK if isinstance(value, Response) else DOWNLINK
        if isinstance(value, Gpdu) and value.pdu_type is not None:
            return UPLINK if value.pdu_type is PduType.UPLINK else DOWNLINK
        if seen.link == LinkName.N3 and seen.sender in self._planes:
            return self._planes[seen.sender]
        key = seen.link, frozenset((seen.sender, seen.receiver))
        if key not in self._lower:
            self._lower[key] = seen.receiver if isinstance(value, CellInfo) else seen.sender
        return UPLINK if self._lower[key] == seen.sender else DOWNLINK


def _natural_step(seen: Captured, reading: Reading) -> Step | None:
    if seen.link in (LinkName.RADIO_USER, LinkName.N3, LinkName.ES9):
        return Step.PROVISION
    if seen.link == LinkName.EAP:
        return Step.ATTACH if reading.message in ("EapSuccess",) else Step.AUTHENTICATE
    if isinstance(reading.value, _ACCESS):
        return Step.ATTACH
    if reading.message.startswith("SessionResource"):
        return Step.SESSION
    if reading.message.startswith("UeContextRelease"):
        return Step.DETACH
    return STEP_OF.get(reading.message)


def _only_step(purpose: Purpose) -> int | None:
    """Of a message that could be anything: an ordinary attach is wholly step 7."""
    return int(Step.REATTACH) if purpose is Purpose.ORDINARY else None
