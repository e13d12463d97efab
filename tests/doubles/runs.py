"""A small run as the nodes would have recorded it: one device through all seven steps, in whole milliseconds."""

from dataclasses import replace

from rprov.model.identifiers import UeRadioId
from rprov.model.report import MessageSeen, Proof, ReportItem, StepEnded
from rprov.trace.report import DeviceResult, user_packets

EID = "89049032123451234512345678901235"
FIRST, SECOND = UeRadioId(5), UeRadioId(6)


def seen(ms: int, ue: int, step: int, way: str, name: str, octets: int = 10, protected: bool = False) -> MessageSeen:
    """A radio message written down by the UE; `way` is like "ue>cp"."""
    sender, receiver = way.split(">")
    return MessageSeen(ms / 1000, "ue", UeRadioId(ue), step, sender, receiver, "radio", name, octets, protected)


def n2(ms: int, ue: int, way: str, name: str) -> MessageSeen:
    """A message on N2 written down by the RAN, which knows no step."""
    sender, receiver = way.split(">")
    return MessageSeen(ms / 1000, "ran", UeRadioId(ue), 0, sender, receiver, "n2", name, 30, False)


def ended(ms: int, step: int, ok: bool = True, detail: str = "", ue: str = EID, role: str = "ue") -> StepEnded:
    """The end of a step."""
    return StepEnded(ms / 1000, role, ue, step, ok, detail)


def device(**over: object) -> DeviceResult:
    """What is known of the device of `items`."""
    good = DeviceResult(EID, True, "001010000000001", "8988211000000000011", (FIRST, SECOND), 0.0, 0.1)
    return replace(good, **over)  # type: ignore[arg-type]


def items() -> list[ReportItem]:
    """Everything that the nodes wrote down."""
    return [
        n2(0, 0, "ran>cp", "N2SetupRequest"),
        seen(1, 0, 1, "ue>ran", "RrcSetupRequest"),
        seen(2, 0, 1, "ran>ue", "RrcSetup"),
        seen(2, 5, 1, "ue>cp", "AttachRequest"),
        ended(2, 1),
        n2(3, 5, "ran>cp", "InitialUeMessage"),
        n2(4, 5, "cp>ran", "DownlinkNasTransport"),
        seen(5, 5, 2, "cp>ue", "AuthenticationRequest", 100),
        seen(6, 5, 2, "ue>cp", "AuthenticationResponse", 200),
        n2(7, 5, "ran>cp", "UplinkNasTransport"),
        Proof(0.008, "ue", EID, 2, "the network is 001-01"),
        Proof(0.008, "cp", "77", 2, "the device is known"),
        ended(8, 2),
        n2(8, 5, "cp>ran", "DownlinkNasTransport"),
        seen(9, 5, 3, "cp>ue", "SecurityModeCommand", protected=True),
        seen(10, 5, 3, "ue>cp", "SecurityModeComplete", protected=True),
        n2(10, 5, "ran>cp", "UplinkNasTransport"),
        n2(11, 5, "cp>ran", "InitialContextSetupRequest"),
        n2(11, 5, "cp>ran", "DownlinkNasTransport"),
        seen(12, 5, 3, "cp>ue", "AttachAccept", protected=True),
        seen(12, 5, 3, "ue>cp", "AttachComplete", protected=True),
        ended(12, 3),
        seen(12, 5, 4, "ue>cp", "PduSessionRequest", protected=True),
        n2(13, 5, "ran>cp", "UplinkNasTransport"),
        replace(n2(13, 5, "ran>cp", "UplinkNasTransport"), octets=44),
        seen(14, 5, 4, "cp>ue", "PduSessionAccept", protected=True),
        ended(15, 4),
        replace(seen(16, 5, 5, "ue>smdp", "initiateAuthentication", 700, True), link="es9"),
        replace(seen(17, 5, 5, "smdp>ue", "initiateAuthentication", 900, True), link="es9"),
        replace(n2(18, 5, "ran>cp", user_packets(45)), link="n3", octets=9000),
        seen(18, 5, 5, "ue>ran", user_packets(45), 8000, True),
        ended(20, 5),
        seen(21, 5, 6, "ue>cp", "DetachRequest", protected=True),
        seen(22, 5, 6, "cp>ue", "DetachAccept", protected=True),
        ended(23, 6),
        n2(24, 5, "cp>ran", "UeContextReleaseCommand"),
        seen(30, 0, 7, "ue>ran", "RrcSetupRequest"),
        seen(31, 0, 7, "ran>ue", "RrcSetup"),
        seen(31, 6, 7, "ue>cp", "AttachRequest"),
        n2(32, 6, "ran>cp", "InitialUeMessage"),
        seen(33, 6, 7, "cp>ue", "AttachAccept", protected=True),
        ended(90, 7),
    ]
