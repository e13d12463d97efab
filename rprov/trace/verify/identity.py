"""Who a UE claims to be, who it has proved to be, and what that makes of its keys.

K_AUSF comes of the TLS handshake in the EAP packets (EMSK, or MSK where the ABBA says so), or stands in the key log.
The SUPI in K_AMF is the EID of the device's certificate for provisioning, else what a SUCI shows or the key log tells.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from rprov.crypto.hierarchy import KAusf, k_ausf_from_emsk, k_ausf_from_msk
from rprov.crypto.suci import reveal
from rprov.crypto.x509 import eid_of
from rprov.errors import DecodeError, Refused
from rprov.model.identifiers import Eid, EidHint, Plmn, Suci, Supi
from rprov.trace.keylog import Keys, LoggedKAusf, LoggedSupi
from rprov.trace.verify.chains import NO_ANCHORS, Anchors
from rprov.trace.verify.flights import PacketFault, flights_of
from rprov.trace.verify.ledger import Ledger
from rprov.trace.verify.merge import Carried
from rprov.trace.verify.tls_messages import TLS_1_3
from rprov.trace.verify.tls_open import KeysMissing, Opened, TlsFault, open_handshake
from rprov.wire import eap
from rprov.wire.messages import (
    ABBA,
    ABBA_MSK,
    AttachRequest,
    AttachType,
    AuthenticationRequest,
    AuthenticationResponse,
    Eap,
    IdentityResponse,
    NasMessage,
    SecurityModeCommand,
    SecurityModeComplete,
)

COMMITMENT = b"\0"
LoggedT = TypeVar("LoggedT", LoggedKAusf, LoggedSupi)


@dataclass(frozen=True, slots=True)
class Root:
    """What K_AMF is made of, and where it comes from."""

    k_ausf: KAusf
    supi: Supi
    plmn: Plmn
    source: str
    eid: Eid | None = None
    """Of a device; a subscriber has none."""


@dataclass(slots=True)
class Claims:
    """What is known of one UE before it has keys."""

    keys: Keys
    runs: Sequence[str]
    names: frozenset[int]
    """What nodes call it: ueRadioId, ranUeId, cpUeId."""
    plmns: Sequence[Plmn]
    anchors: Anchors = NO_ANCHORS
    attach: AttachRequest | None = None
    attach_raw: bytes = b""
    attach_carried: Carried | None = None
    identities: list[object] = field(default_factory=list)
    requests: list[tuple[Carried, AuthenticationRequest]] = field(default_factory=list)
    packets: list[tuple[Carried, bytes]] = field(default_factory=list)
    others: Sequence[Eid] = ()
    """EIDs that other UEs of the capture have proved: a handshake that is resumed shows no certificate."""
    elsewhere: bool = False
    """Whether an AAA server is on the other side of TLS, so that nobody here can have logged its secrets."""
    opened: Opened | None = None
    problem: tuple[int, str] | None = None
    """What is wrong with the TLS handshake, and in which frame."""
    unopened: tuple[int, str] | None = None
    """Why the TLS handshake could not be opened, and in which frame it begins."""
    eid: Eid | None = None
    _flights: list[int] = field(default_factory=list)

    @property
    def provisioning(self) -> bool:
        """Whether the UE attaches for provisioning."""
        return self.attach is not None and self.attach.attach_type is AttachType.REMOTE_PROVISIONING

    def learn(self, item: Carried, message: NasMessage, raw: bytes) -> None:
        """Take a message that came without protection."""
        match message:
            case AttachRequest():
                self.attach, self.attach_raw, self.attach_carried = message, raw, item
                self.identities.append(message.identity)
            case IdentityResponse(identity=identity):
                self.identities.append(identity)
            case AuthenticationRequest(challenge=challenge):
                self.requests.append((item, message))
                if isinstance(challenge, Eap):
                    self.packets.append((item, challenge.packet))
            case AuthenticationResponse(answer=Eap(packet=packet)):
                self.packets.append((item, packet))

    # --- EAP-TLS ------------------------------------------------------------------------------------------------------

    def open_tls(self) -> None:
        """Open the handshake, once, with all packets that there are."""
        if self.opened is not None or self.problem is not None or self.unopened is not None:
            return
        flights = []
        self._flights = []
        try:
            for place, flight in flights_of([packet for _, packet in self.packets]):
                self._flights.append(self.packets[place][0].frame)
                flights.append(flight)
            if flights:
                self.opened = open_handshake(flights, self.keys)
        except PacketFault as error:
            self.problem = self.packets[error.place][0].frame, f"EAP-TLS: {error}"
        except TlsFault as error:
            self.problem = self._flights[error.flight], f"EAP-TLS: {error}"
        except KeysMissing as error:
            self.unopened = self._flights[0], f"EAP-TLS: {error}"

    # --- keys ---------------------------------------------------------------------------------------------------------

    def roots(self, abba: bytes) -> Iterator[Root]:
        """Give everything that K_AMF may be made of."""
        self.open_tls()
        for k_ausf, source in self._k_ausfs(abba):
            for supi, eid in self._subjects():
                for plmn in self.plmns:
                    yield Root(k_ausf, supi, plmn, source, eid)

    def _k_ausfs(self, abba: bytes) -> Iterator[tuple[KAusf, str]]:
        if self.opened is not None and self.opened.keys is not None:
            msk, emsk = self.opened.keys
            tls = "a resumed TLS session" if self.opened.resumed else "the TLS handshake"
            if abba == ABBA_MSK:
                yield k_ausf_from_msk(msk), f"MSK of {tls}"
            else:
                yield k_ausf_from_emsk(emsk), f"EMSK of {tls}"
        for logged in self._of_this_ue(self.keys.k_ausf):
            yield KAusf(logged.key.octets), "K_AUSF of the key log"

    def _subjects(self) -> Iterator[tuple[Supi, Eid | None]]:
        """Give whose keys they may be, the EID where it is a device: the certificate's alone, where one was shown."""
        if self.opened is not None and self.opened.client:
            proved = self._certified(self.opened)
            if proved is not None:
                yield from ((Supi.of_eid(proved, plmn), proved) for plmn in self.plmns)
            return
        for identity in self.identities:
            match identity:
                case Eid():
                    yield from ((Supi.of_eid(identity, plmn), identity) for plmn in self.plmns)
                case EidHint():
                    known = [eid for eid in self.others if identity.covers(eid)]
                    yield from ((Supi.of_eid(eid, plmn), eid) for eid in known for plmn in self.plmns)
                case Suci(scheme=0):
                    try:
                        yield reveal(identity, {}), None
                    except Refused:
                        continue
        for logged in self._of_this_ue(self.keys.supis):
            yield logged.supi, _eid_in(logged.supi)

    def _of_this_ue(self, lines: Iterable[LoggedT]) -> list[LoggedT]:
        """Pick lines about this UE, those of the capture's own run first: the other nodes' know it by the same id."""
        return sorted((line for line in lines if line.ue in self.names), key=lambda line: line.run not in self.runs)

    def _certified(self, opened: Opened) -> Eid | None:
        try:
            return eid_of(opened.client[0])
        except Refused as error:
            self.problem = self._flights[-1], f"the device's certificate: {error}"
            return None

    def why_no_keys(self, command: SecurityModeCommand) -> str:
        """Say what may be the reason that no key has made the MAC of a SecurityModeCommand."""
        reason = self.problem or self.unopened
        if reason is not None:
            return f"no key for the SecurityModeCommand: frame {reason[0]}: {reason[1]}"
        if not list(self.roots(command.abba)):
            return "the key log has nothing that the keys of this SecurityModeCommand could be made of"
        return "the MAC of the SecurityModeCommand is not made with the keys that the authentication has given"

    # --- what must fit ------------------------------------------------------------------------------------------------

    def check_command(self, item: Carried, command: SecurityModeCommand, root: Root, ledger: Ledger) -> None:
        """Hold an authenticated SecurityModeCommand against what was said before it without protection."""
        if self.attach is not None and command.capability != self.attach.capability:
            ledger.fault(item.frame, "the SecurityModeCommand replays other capabilities than the AttachRequest has")
        for carried, request in self.requests:
            if (request.ksi, request.abba) != (command.ksi, command.abba):
                if carried.suspect is not None:
                    _exchange_blame(carried, ledger)
                else:
                    ledger.fault(carried.frame, "ksi or ABBA are not those of the SecurityModeCommand")
        if command.abba not in (ABBA, ABBA_MSK):
            ledger.fault(item.frame, f"ABBA {command.abba.hex()} is none that is known")
        if root.eid is not None:
            self._check_eid(item, root.eid, ledger)
        if self.opened is not None:
            self._check_opened(item, command, root, self.opened, ledger)

    def _check_opened(
        self, item: Carried, command: SecurityModeCommand, root: Root, opened: Opened, ledger: Ledger
    ) -> None:
        if not opened.done:
            ledger.fault(item.frame, "keys are taken into use, though the TLS handshake has not finished")
        if opened.client and True not in opened.verified:
            ledger.fault(item.frame, "the device has shown a certificate and not proved that it holds the key")
        if opened.version == TLS_1_3 and [data for _, client, data in opened.application if not client] != [COMMITMENT]:
            ledger.fault(item.frame, "the network has not given its protected success indication (0x00) exactly once")
        if command.eap is None or not isinstance(_decoded(command.eap.packet), eap.Success):
            ledger.fault(item.frame, "the SecurityModeCommand of an attach with a certificate carries no EAP-Success")
        for text in self.anchors.faults(opened, root.plmn, item.at):
            ledger.fault(self._flights[-1], text)

    def _check_eid(self, item: Carried, proved: Eid, ledger: Ledger) -> None:
        """TS 33.501 B.2.1.1 step 15: the certificate belongs to the identity that was claimed."""
        self.eid = proved
        for claimed in self.identities:
            fits = claimed.covers(proved) if isinstance(claimed, EidHint) else claimed == proved
            if isinstance(claimed, Eid | EidHint) and not fits:
                ledger.fault(item.frame, f"the certificate is of EID {proved}, the attach request claims {claimed}")

    def confirm(self, item: Carried, message: SecurityModeComplete, ledger: Ledger) -> None:
        """Hold the attach request that comes again, protected, against the one that came without protection."""
        carried = self.attach_carried
        if carried is None:
            return
        if message.attach_request == self.attach_raw:
            for copy in carried.copies:
                ledger.cover(copy.frame, copy.offset, len(copy.octets), "the attach request under the MAC")
            return
        suspect = carried.suspect
        if suspect is not None and suspect.octets[1:] == message.attach_request:
            _exchange_blame(carried, ledger)
            return
        ledger.fault(carried.frame, f"the AttachRequest is not the one that frame {item.frame} confirms")


def _exchange_blame(carried: Carried, ledger: Ledger) -> None:
    """The record that was taken for true is the wrong one of the two."""
    suspect = carried.suspect
    if suspect is not None:
        ledger.faults = [
            replace(fault, frame=carried.frame) if fault.frame == suspect.frame else fault for fault in ledger.faults
        ]


def _eid_in(supi: Supi) -> Eid | None:
    """Read the EID of a SUPI that is a device's."""
    name, _, realm = supi.text.partition("@")
    try:
        return Eid.parse(name) if realm.startswith("rsp.") else None
    except DecodeError:
        return None


def _decoded(packet: bytes) -> eap.EapPacket | None:
    try:
        return eap.decode(packet)
    except DecodeError:
        return None
