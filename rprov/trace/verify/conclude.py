"""What a check has proved of each UE, in sentences, and what it had to leave open."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ssl import AlertDescription

from rprov.trace.verify.gather import Gathered, UeFrames
from rprov.trace.verify.identity import Claims
from rprov.trace.verify.ledger import Ledger
from rprov.trace.verify.links import UeOnN2
from rprov.trace.verify.merge import Carried
from rprov.trace.verify.nas import NasStory
from rprov.trace.verify.srb import Srb
from rprov.trace.verify.user import UserStory
from rprov.wire.messages import (
    AttachReject,
    AuthenticationFailure,
    AuthenticationReject,
    PduSessionAccept,
    SecurityModeReject,
)


@dataclass(slots=True)
class UeCheck:
    """One UE, checked."""

    frames: UeFrames
    n2: UeOnN2
    srb: Srb
    claims: Claims
    nas: NasStory
    user: UserStory
    carried: list[Carried] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What the report calls it."""
        return f"UE {self.frames.ue:08x}"


def conclude(ues: Sequence[UeCheck], gathered: Gathered, ledger: Ledger, *, anchored: bool) -> None:
    """Say what is proved; packets of sessions for provisioning are held against their servers here."""
    for ue in ues:
        _say_keys(ue, ledger)
        _say_certificates(ue, ledger, anchored)
        _say_restriction(ue, ledger)
    for link, count in sorted(gathered.unchecked.items()):
        ledger.leave(f"{count} messages of {link}")


def _say_keys(ue: UeCheck, ledger: Ledger) -> None:
    claims, root = ue.claims, ue.nas.root
    if root is None:
        alerts = [] if claims.opened is None else [_alert(*alert) for alert in claims.opened.alerts]
        said = [text for item in ue.nas.read if (text := _refusal(item.message))]
        why = "".join(f"; {text}" for text in (*alerts, *said))
        ledger.prove(f"{ue.name}: no keys were taken into use; {len(ue.nas.read)} NAS messages{why}")
        if claims.unopened is not None:
            ledger.leave(f"{ue.name}: {claims.unopened[1]}")
        return
    who = f"EID {claims.eid}" if claims.eid is not None else f"SUPI {root.supi}"
    ledger.prove(f"{ue.name}: is {who}; K_AMF comes of {root.source}, for {root.plmn.serving_network_name}")
    macs = f"{ue.nas.macs} NAS MACs, {ue.srb.protected} RRC MACs, {ue.user.opened} user packets"
    ledger.prove(f"{ue.name}: {macs} are right")
    if ue.srb.k_gnb is not None:
        ledger.prove(f"{ue.name}: UE and RAN use the K_gNB that UE and CP have derived")


def _alert(from_client: bool, number: int) -> str:
    side = "device" if from_client else "network"
    try:
        name = AlertDescription(number).name.removeprefix("ALERT_DESCRIPTION_").lower()
    except ValueError:
        name = str(number)
    return f"TLS alert {name} of the {side}"


def _refusal(message: object) -> str:
    match message:
        case AuthenticationReject() | AttachReject() | AuthenticationFailure() | SecurityModeReject():
            return f"{type(message).__name__} {message.cause.name}"
        case _:
            return ""


def _say_certificates(ue: UeCheck, ledger: Ledger, anchored: bool) -> None:
    claims, opened = ue.claims, ue.claims.opened
    if ue.nas.root is None:
        return
    if claims.unopened is not None:
        ledger.leave(f"{ue.name}: certificates and TLS: {claims.unopened[1]}")
    elif opened is not None and opened.client:
        if anchored:
            ledger.prove(f"{ue.name}: the certificates of device and network lead to anchors")
        else:
            ledger.leave(f"{ue.name}: whether its certificates and the network's lead to anchors (--anchors)")


def _say_restriction(ue: UeCheck, ledger: Ledger) -> None:
    sessions = [item.message for item in ue.nas.read if isinstance(item.message, PduSessionAccept)]
    if not ue.claims.provisioning or not sessions:
        return
    session = sessions[-1]
    looked = ue.user.restricted(session)
    servers = ", ".join(sorted({server.fqdn for server in session.provisioning_servers}))
    ledger.prove(f"{ue.name}: {looked} records of user packets, all with {servers} or its resolver")
