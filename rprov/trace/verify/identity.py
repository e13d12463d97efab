"""Who a UE claims to be, who it has proved to be, and what that makes of its keys.

K_AUSF comes of the TLS handshake in the EAP packets (EMSK, or MSK where the ABBA says so), or stands in the key log.
The SUPI in K_AMF is the EID of the device's certificate for provisioning, else what a SUCI shows or the key log tells.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from rprov.crypto.hierarchy import KAusf, k_ausf_from_emsk, k_ausf_from_msk
from rprov.crypto.suci import reveal
from rprov.crypto.x509 import eid_of
from rprov.errors import DecodeError, Refused
from rprov.model.identifiers import Eid, EidHint, Plmn, Suci, Supi
from rprov.trace.keylog import Keys
from rprov.trace.verify.ledger import Ledger
from rprov.trace.verify.merge import Carried
from rprov.trace.verify.tls_open import Flight, KeysMissing, Opened, TlsFault, open_handshake
from rprov.wire import eap
from rprov.wire.eap_tls import decode_fragment
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


@dataclass(frozen=True, slots=True)
class Root:
    """What K_AMF is made of, and where it comes from."""

    k_ausf: KAusf
    supi: Supi
    network: str
    source: str


@dataclass(slots=True)
class Claims:
    """What is known of one UE before it has keys."""

    keys: Keys
    runs: Sequence[str]
    names: frozenset[int]
    """What nodes call it: ueRadioId, ranUeId, cpUeId."""
    plmns: Sequence[Plmn]
    attach: AttachRequest | None = None
    attach_raw: bytes = b""
    attach_carried: Carried | None = None
    identities: list[object] = field(default_factory=list)
    requests: list[tuple[Carried, AuthenticationRequest]] = field(default_factory=list)
    packets: list[tuple[Carried, bytes]] = field(default_factory=list)
    opened: Opened | None = None
    problem: tuple[int, str] | None = None
    """What is wrong with the TLS handshake, and in which frame."""
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
        flights = self._tls_flights()
        if not flights or self.opened is not None or self.problem is not None:
            return
        try:
            self.opened = open_handshake(flights, self.keys)
        except TlsFault as error:
            self.problem = self._flights[error.flight], f"EAP-TLS: {error}"
        except KeysMissing as error:
            self.problem = self._flights[0], f"EAP-TLS: {error}"

    def _tls_flights(self) -> list[Flight]:
        flights: list[Flight] = []
        waiting = b""
        self._flights = []
        for item, packet in self.packets:
            try:
                decoded = eap.decode(packet)
                if not isinstance(decoded, eap.Request | eap.Response) or decoded.type != eap.EapType.TLS:
                    continue
                piece = decode_fragment(decoded.data)
            except DecodeError as error:
                self.problem = item.frame, f"EAP-TLS: {error}"
                return []
            waiting += piece.data
            if waiting and not piece.more:
                flights.append(Flight(isinstance(decoded, eap.Response), waiting))
                self._flights.append(item.frame)
                waiting = b""
        return flights

    # --- keys ---------------------------------------------------------------------------------------------------------

    def roots(self, abba: bytes) -> Iterator[Root]:
        """Give everything that K_AMF may be made of."""
        self.open_tls()
        networks = [plmn.serving_network_name for plmn in self.plmns]
        if self.opened is not None and self.opened.keys is not None and self.opened.client:
            msk, emsk = self.opened.keys
            try:
                eid = eid_of(self.opened.client[0])
            except Refused as error:
                self.problem = self._flights[-1], f"the device's certificate: {error}"
                return
            derived = k_ausf_from_msk(msk) if abba == ABBA_MSK else k_ausf_from_emsk(emsk)
            source = "MSK" if abba == ABBA_MSK else "EMSK"
            for plmn in self.plmns:
                supi = Supi.of_eid(eid, plmn)
                yield Root(derived, supi, plmn.serving_network_name, f"{source} of the TLS handshake")
        for logged in self._logged():
            for supi in self._supis():
                for network in networks:
                    yield Root(KAusf(logged.octets), supi, network, "K_AUSF of the key log")
        if self.opened is not None and self.opened.keys is not None and self.opened.resumed:
            msk, emsk = self.opened.keys
            derived = k_ausf_from_msk(msk) if abba == ABBA_MSK else k_ausf_from_emsk(emsk)
            for supi in self._supis():
                for network in networks:
                    yield Root(derived, supi, network, "EMSK of a resumed TLS session")

    def _logged(self) -> Iterator[KAusf]:
        for logged in self.keys.k_ausf:
            if logged.ue in self.names and (not self.runs or logged.run in self.runs):
                yield KAusf(logged.key.octets)

    def _supis(self) -> Iterator[Supi]:
        for identity in self.identities:
            match identity:
                case Eid():
                    yield from (Supi.of_eid(identity, plmn) for plmn in self.plmns)
                case Suci(scheme=0):
                    try:
                        yield reveal(identity, {})
                    except Refused:
                        continue
        for logged in self.keys.supis:
            if logged.ue in self.names:
                yield logged.supi
        if self.opened is not None and self.opened.resumed:
            yield from (Supi.of_eid(eid, plmn) for eid in _known_eids(self) for plmn in self.plmns)

    def why_no_keys(self, command: SecurityModeCommand) -> str:
        """Say what may be the reason that no key has made the MAC of a SecurityModeCommand."""
        if self.problem is not None:
            return f"no key for the SecurityModeCommand: frame {self.problem[0]}: {self.problem[1]}"
        if not list(self.roots(command.abba)):
            return "the key log has nothing that the keys of this SecurityModeCommand could be made of"
        return "the MAC of the SecurityModeCommand is not made with the keys that the authentication has given"

    # --- what must fit ------------------------------------------------------------------------------------------------

    def check_command(self, item: Carried, command: SecurityModeCommand, ledger: Ledger) -> None:
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
        if self.opened is not None:
            self._check_opened(item, command, ledger)

    def _check_opened(self, item: Carried, command: SecurityModeCommand, ledger: Ledger) -> None:
        opened = self.opened
        if opened is None:
            return
        if not opened.done:
            ledger.fault(item.frame, "keys are taken into use, though the TLS handshake has not finished")
        if opened.client and True not in opened.verified:
            ledger.fault(item.frame, "the device has shown a certificate and not proved that it holds the key")
        if opened.version == 0x0304 and [data for _, client, data in opened.application if not client] != [COMMITMENT]:
            ledger.fault(item.frame, "the network has not given its protected success indication (0x00) exactly once")
        if command.eap is None or not isinstance(_decoded(command.eap.packet), eap.Success):
            ledger.fault(item.frame, "the SecurityModeCommand of an attach with a certificate carries no EAP-Success")
        if opened.client:
            self._check_eid(item, eid_of(opened.client[0]), ledger)

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
        if carried is None or message.attach_request == self.attach_raw:
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


def _known_eids(claims: Claims) -> Iterator[Eid]:
    for identity in claims.identities:
        if isinstance(identity, Eid):
            yield identity


def _decoded(packet: bytes) -> eap.EapPacket | None:
    try:
        return eap.decode(packet)
    except DecodeError:
        return None
