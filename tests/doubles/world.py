"""UE, RAN and CP in memory: the three cores with a shell that keeps everything in dictionaries.

    world = World(); ue = world.add_ue(intent); world.pump()

`world.between` may drop, change or repeat what travels; `world.fire()` lets the next timer run out; `world.hold` keeps
answers of the shell back; `world.lose_radio`, `world.restart` cut links and power. Nothing here waits.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Address
from typing import Any

from doubles.pki import EID, NOW, OTHER_EID, PLMN, seeded

from rprov.auth.aka import FiveGAkaNetworkScheme, FiveGAkaPeerScheme
from rprov.auth.aka_peer import AkaPeerScheme
from rprov.auth.eap_aka_prime import EapAkaPrimeNetworkScheme
from rprov.auth.eap_aka_prime_peer import EapAkaPrimePeerScheme
from rprov.auth.radius_exchange import AccessRequest
from rprov.auth.scheme import NetworkScheme, PeerScheme
from rprov.auth.usim import Usim, next_sqn
from rprov.causes import Cause
from rprov.crypto.aka_functions import aka_functions
from rprov.crypto.suci import reveal
from rprov.errors import DecodeError, Misuse
from rprov.model.env import Env
from rprov.model.identifiers import CpUeId, Eid, Guti, Iccid, Imsi, Plmn, RanUeId, Supi, Teid, UeRadioId
from rprov.model.policy import CpPolicy, ProvisioningPolicy, RanPolicy, Timers, UePolicy
from rprov.model.records import DeviceRecord, Order, OrderState, SubscriberRecord
from rprov.model.report import Discarded, MessageSeen, Proof, ReportItem, StepEnded, Transition
from rprov.model.secret import Secret
from rprov.model.security import AkaMethod, Nea, Nia, SecurityCapability
from rprov.model.session import ProvisioningProtocol, ProvisioningServer, TunnelEnd, UserPlaneAddress
from rprov.procedure import actions as act
from rprov.procedure import events as ev
from rprov.procedure.cp_endpoint import CpEndpoint
from rprov.procedure.engines import CpEngines, UeEngines
from rprov.procedure.purpose import Intent, Purpose, Subscription
from rprov.procedure.ran_endpoint import RanEndpoint
from rprov.procedure.ue_endpoint import UeEndpoint
from rprov.wire.link import N2Frame, N2Kind, decode_n2_frame
from rprov.wire.link_asn1 import LinkAsn1
from rprov.wire.nas_asn1 import NasAsn1
from rprov.wire.radio import CellInfo, RadioFrame, RrcSetupRequest, decode_radio_frame
from rprov.wire.radio_asn1 import RadioAsn1

IMSI = Imsi("001010000000001")
OTHER_IMSI = Imsi("001010000000002")
ICCID = Iccid("89882110000005300811")
K = Secret(bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc"))
OPC = Secret(bytes.fromhex("cd63cb71954a9f4e48a5994e37a02baf"))
SERVER = ProvisioningServer(ProvisioningProtocol.SGP22, "smdp.example.com", (IPv4Address("10.60.0.1"),), 443)
CAPABILITY = SecurityCapability.of((Nea.NEA0, Nea.NEA1, Nea.NEA2, Nea.NEA3), (Nia.NIA1, Nia.NIA2, Nia.NIA3))


@dataclass(frozen=True)
class InFlight:
    """One frame on its way: `link` radio or n2, `up` towards the CP, `ue` the radio id or the index of the UE."""

    link: str
    up: bool
    octets: bytes
    ue: int


@dataclass
class UeNode:
    """A UE and what its shell keeps."""

    index: int
    endpoint: UeEndpoint
    policy: UePolicy
    engines: UeEngines
    usim: Usim
    subscription: Subscription
    outcome: act.Conclude | None = None
    downloads: list[act.Download] = field(default_factory=list)
    bearers: dict[int, Any] = field(default_factory=dict)
    network: act.StartNetwork | None = None
    download_answer: Any = None
    enable_answer: Any = None
    on: bool = True


class World:
    """All three nodes, their links, their shells."""

    def __init__(
        self,
        certificate: Callable[[Eid, Any], NetworkScheme] | None = None,
        ue_certificate: Callable[[Plmn, Any], PeerScheme] | None = None,
        cp_policy: CpPolicy | None = None,
        nea: tuple[Nea, ...] = (Nea.NEA2,),
        nia: tuple[Nia, ...] = (Nia.NIA2,),
        wall: datetime = NOW,
        seed: str = "world",
    ) -> None:
        self.now = 0.0
        self.wall = wall.astimezone(UTC)
        self.entropy = seeded(seed)
        self.items: list[ReportItem] = []
        self.flying: deque[InFlight] = deque()
        self.log: list[InFlight] = []
        self.hold: Callable[[Any], bool] = lambda ask: False
        self.held: deque[Callable[[], None]] = deque()
        self.between: Callable[[InFlight], Iterable[InFlight]] = lambda frame: [frame]
        self.timers: list[tuple[float, int, Any, ev.TimerFired]] = []
        self.counter = 0
        self.ues: list[UeNode] = []
        self.rans: dict[int, RanEndpoint] = {}
        self.radio_of: dict[int, int] = {}  # ueRadioId -> index of the UE
        self.cps: dict[int, CpEndpoint] = {}
        self.cp_of: dict[int, int] = {}  # ranUeId -> cpUeId
        self.registered: dict[str, int] = {}  # identity -> cpUeId
        self.gutis: dict[Guti, Eid | Supi] = {}
        self.tunnels: dict[int, Any] = {}
        self.teids = 100
        self.ran_bearers: dict[tuple[int, int], Any] = {}
        self.devices: dict[Eid, DeviceRecord] = {
            eid: DeviceRecord(eid, Order(eid, ICCID, imsi, "MATCH-1", OrderState.RELEASED))
            for eid, imsi in ((EID, IMSI), (OTHER_EID, OTHER_IMSI))
        }
        self.subscribers: dict[Supi, SubscriberRecord] = {
            Supi.of_imsi(imsi): SubscriberRecord(Supi.of_imsi(imsi), K, OPC, sqn=32) for imsi in (IMSI, OTHER_IMSI)
        }
        self.asks: list[Any] = []
        self.aaa: Callable[[AccessRequest], Any] = no_aaa
        self.ran_answer: Any = None
        self.radio, self.link, self.nas = RadioAsn1(), LinkAsn1(), NasAsn1()
        provisioning = ProvisioningPolicy(lifetime=600, quota=1 << 20, servers=(SERVER,))
        self.cp_policy = cp_policy or CpPolicy(
            "cp", PLMN, 1, nea, nia, provisioning, IPv4Address("10.45.0.1"), 1400, Timers(), 30, (SERVER,)
        )
        self.cp_engines = CpEngines(self.nas, certificate or no_certificate, self._aka, lambda suci: reveal(suci, {}))
        self.ran_policy = RanPolicy("ran", 1, nea, nia)
        self.ue_certificate = ue_certificate or no_certificate

    # --- environment --------------------------------------------------------------------------------------------------

    def env(self, policy: Any, engines: Any) -> Env[Any, Any]:
        return Env(self.now, self.wall, self.entropy, policy, engines)

    @property
    def cp_env(self) -> Env[Any, Any]:
        return self.env(self.cp_policy, self.cp_engines)

    @property
    def ran_env(self) -> Env[Any, Any]:
        return self.env(self.ran_policy, None)

    def ue_env(self, ue: UeNode) -> Env[Any, Any]:
        return self.env(ue.policy, ue.engines)

    def _aka(self, record: SubscriberRecord, env: Env[Any, Any]) -> NetworkScheme:
        scheme = EapAkaPrimeNetworkScheme if record.method is AkaMethod.EAP_AKA_PRIME else FiveGAkaNetworkScheme
        return scheme(
            supi=record.supi,
            functions=aka_functions(record.algorithm, record.k, record.opc),
            amf=record.amf,
            sqn=record.sqn,
            network=env.policy.plmn.serving_network_name,
            rand=env.entropy(16),
        )

    def add_ue(
        self, intent: Intent | None = None, imsi: Imsi = IMSI, usim: Usim | None = None, **policy: Any
    ) -> UeNode:
        index = len(self.ues)
        card = usim or Usim(K, OPC)
        subscription = Subscription(imsi, PLMN)

        def aka(plmn: Plmn, env: Env[Any, Any]) -> PeerScheme:
            network = plmn.serving_network_name
            eap = EapAkaPrimePeerScheme(card, subscription.supi, network)
            return AkaPeerScheme(FiveGAkaPeerScheme(card, network), eap)

        engines = UeEngines(self.nas, self.ue_certificate, aka)
        address = UserPlaneAddress(IPv4Address("127.0.0.1"), 4000 + index)
        settings = UePolicy(**{"capability": CAPABILITY, "user_plane": address, **policy})
        endpoint = UeEndpoint.create(f"ue{index}", self.nas, self.radio)
        node = UeNode(index, endpoint, settings, engines, card, subscription)
        node.download_answer = ev.ProfileDownloaded(ICCID)
        self.ues.append(node)
        self.hear_cell(node)
        if intent is not None:
            self.want(node, intent)
        return node

    def hear_cell(self, ue: UeNode, offered: bool | None = None) -> None:
        self._ue(ue, ue.endpoint.receive(self.cell(offered), self.ue_env(ue)))

    def cell(self, offered: bool | None = None) -> bytes:
        offers = self.cp_policy.provisioning is not None if offered is None else offered
        info = CellInfo(self.cp_policy.plmn, 1, offers)
        return RadioFrame(UeRadioId(0), self.radio.encode(info)).encode()

    def want(self, ue: UeNode, intent: Intent) -> None:
        self.ue_event(ue, ev.AttachWanted(intent))

    def ue_event(self, ue: UeNode, event: Any) -> None:
        self._ue(ue, ue.endpoint.step(event, self.ue_env(ue)))

    def cp_event(self, cp_ue_id: int, event: Any) -> None:
        self._cp(self.cps[cp_ue_id], self.cps[cp_ue_id].step(event, self.cp_env))

    def link_event(self, ue: UeNode, message: Any) -> None:
        """Let the RAN's control message reach the CP's endpoint of this UE."""
        frame = N2Frame(RanUeId(self.ran_of(ue).ran_ue_id), CpUeId(0), N2Kind.CONTROL, self.link.encode(message))
        self.fly(InFlight("n2", True, frame.encode(), int(frame.ran_ue_id)))

    def ran_of(self, ue: UeNode) -> RanEndpoint:
        """The endpoint of a UE in the RAN: of its connection, else its newest."""
        number = int(ue.endpoint.ue_radio_id)
        return self.rans[number or max(n for n, index in self.radio_of.items() if index == ue.index and n in self.rans)]

    def cp_ue(self, ue: UeNode) -> CpEndpoint:
        """The endpoint of a UE in the CP: of its connection, else its newest."""
        known = [n for n, index in self.radio_of.items() if index == ue.index and n in self.cp_of]
        number = int(ue.endpoint.ue_radio_id)
        return self.cps[self.cp_of[number if number in known else max(known)]]

    def cp_ue_by(self, ran: RanEndpoint) -> CpEndpoint:
        """The CP's endpoint of an endpoint in the RAN."""
        return self.cps[self.cp_of[int(ran.ran_ue_id)]]

    # --- losses -------------------------------------------------------------------------------------------------------

    def restart(self, ue: UeNode) -> None:
        """The UE loses power, says nothing, and comes back with nothing but its card."""
        ue.endpoint = UeEndpoint.create(f"ue{ue.index}", self.nas, self.radio)
        ue.outcome, ue.network = None, None
        ue.bearers.clear()
        self.hear_cell(ue)

    def lose_radio(self, ue: UeNode, at_ue: bool = True, at_ran: bool = True) -> None:
        """The radio link of a UE is gone, and either end notices."""
        if at_ran:
            for number, index in self.radio_of.items():
                if index == ue.index and number in self.rans:
                    self._ran(self.rans[number], self.rans[number].step(ev.LinkLost(), self.ran_env))
        if at_ue:
            self.ue_event(ue, ev.LinkLost())

    def lose_n2(self) -> None:
        """The link between RAN and CP is gone, and both ends notice."""
        for ran in list(self.rans.values()):
            self._ran(ran, ran.step(ev.N2Lost(), self.ran_env))
        for cp_ue_id in list(self.cps):
            self.cp_event(cp_ue_id, ev.LinkLost())

    def kill_ran(self) -> None:
        """The RAN is gone with all it knew, and its links with it; another one takes its place."""
        self.flying.clear()
        self._forget_timers(set(map(id, self.rans.values())))
        self.rans.clear()
        self.ran_bearers.clear()
        for cp_ue_id in list(self.cps):
            self.cp_event(cp_ue_id, ev.LinkLost())
        for ue in self.ues:
            self.ue_event(ue, ev.LinkLost())

    def kill_cp(self) -> None:
        """The CP is gone with all that it has not stored for good, and N2 with it; another one takes its place."""
        self.flying = deque(frame for frame in self.flying if frame.link != "n2")
        self._forget_timers(set(map(id, self.cps.values())))
        for memory in (self.cps, self.registered, self.gutis, self.tunnels):
            memory.clear()
        for ran in list(self.rans.values()):
            self._ran(ran, ran.step(ev.N2Lost(), self.ran_env))

    def _forget_timers(self, owners: set[int]) -> None:
        self.timers = [entry for entry in self.timers if id(entry[2]) not in owners]
        heapq.heapify(self.timers)

    # --- the links ----------------------------------------------------------------------------------------------------

    def pump(self, limit: int = 2000) -> None:
        """Carry frames until all are quiet."""
        while self.flying:
            limit -= 1
            if limit < 0:
                raise AssertionError("the nodes do not become quiet")
            for frame in list(self.between(self.flying.popleft())):
                self.deliver(frame)

    def pump_frames(self, count: int) -> None:
        """Carry this many frames and no more."""
        while self.flying and count > 0:
            count -= 1
            for frame in list(self.between(self.flying.popleft())):
                self.deliver(frame)

    def fly(self, frame: InFlight) -> None:
        self.log.append(frame)
        self.flying.append(frame)

    def deliver(self, frame: InFlight) -> None:
        """Let a frame arrive. One that belongs to nobody is dropped and taken down by the shell that reads the link."""
        try:
            self._deliver(frame)
        except DecodeError as error:
            self.items.append(Discarded(self.now, "shell", "", frame.link, str(error)))

    def _deliver(self, frame: InFlight) -> None:
        match frame.link, frame.up:
            case "radio", True:
                self._to_ran(frame)
            case "radio", False:
                node = self.ues[frame.ue]
                if node.on:
                    self._ue(node, node.endpoint.receive(frame.octets, self.ue_env(node)))
            case "n2", True:
                self._to_cp(frame)
            case _:
                n2 = decode_n2_frame(frame.octets)
                ran = self.rans.get(n2.ran_ue_id)
                if ran is not None:
                    self._ran(ran, ran.receive_n2(n2, self.ran_env))

    def _to_ran(self, frame: InFlight) -> None:
        radio = decode_radio_frame(frame.octets)
        if radio.ue_radio_id == 0:
            message = self.radio.decode(radio.payload)
            if isinstance(message, RrcSetupRequest):
                ue_radio_id = len(self.radio_of) + 1
                self.radio_of[ue_radio_id] = frame.ue
                ran = RanEndpoint.create(self.radio, self.link, UeRadioId(ue_radio_id), RanUeId(ue_radio_id))
                self.rans[ue_radio_id] = ran
                self._ran(ran, ran.begin(message, self.ran_env))
            return
        ran = self.rans.get(radio.ue_radio_id)
        if ran is not None:
            self._ran(ran, ran.receive_radio(radio.payload, self.ran_env))

    def _to_cp(self, frame: InFlight) -> None:
        n2 = decode_n2_frame(frame.octets)
        cp_ue_id = self.cp_of.get(n2.ran_ue_id)
        if cp_ue_id is None:
            cp_ue_id = 1000 + len(self.cp_of)
            self.cp_of[n2.ran_ue_id] = cp_ue_id
            self.cps[cp_ue_id] = CpEndpoint.create(self.nas, self.link, n2.ran_ue_id, CpUeId(cp_ue_id))
        endpoint = self.cps.get(cp_ue_id)
        if endpoint is not None:
            self._cp(endpoint, endpoint.receive(n2, self.cp_env))

    # --- timers -------------------------------------------------------------------------------------------------------

    def _start(self, owner: Any, timer: act.StartTimer) -> None:
        self.counter += 1
        fired = ev.TimerFired(timer.timer, timer.generation)
        heapq.heappush(self.timers, (self.now + timer.seconds, self.counter, owner, fired))

    def ask(self, ask: Any, answer: Callable[[], None]) -> None:
        """Let the shell answer now, or whenever `answer_held` says so."""
        if self.hold(ask):
            self.held.append(answer)
        else:
            answer()

    def answer_held(self) -> None:
        while self.held:
            self.held.popleft()()
        self.pump()

    def fire(self) -> ev.TimerFired | None:
        """Let the next timer run out (it may be stale) and carry what follows."""
        if not self.timers:
            return None
        when, _, owner, fired = heapq.heappop(self.timers)
        self.now = max(self.now, when)
        match owner:
            case UeEndpoint():
                node = next((ue for ue in self.ues if ue.endpoint is owner), None)
                if node is not None and node.on:
                    self.ue_event(node, fired)
            case RanEndpoint():
                self._ran(owner, owner.step(fired, self.ran_env))
            case CpEndpoint():
                self._cp(owner, owner.step(fired, self.cp_env))
        self.pump()
        return fired

    def fire_all(self, until: float = 1e9, limit: int = 500) -> None:
        """Let all timers run out, in order."""
        while self.timers and self.timers[0][0] <= until and limit:
            limit -= 1
            self.fire()

    # --- shells -------------------------------------------------------------------------------------------------------

    def _ue(self, node: UeNode, actions: list[Any]) -> None:
        for action in actions:
            match action:
                case act.Report(item=item):
                    self.items.append(item)
                case act.Transmit(octets=octets):
                    if node.on:
                        self.fly(InFlight("radio", True, octets, node.index))
                case act.StartTimer():
                    self._start(node.endpoint, action)
                case act.StopTimer():
                    pass
                case act.Asked(ticket=ticket, ask=act.Download() as ask):
                    node.downloads.append(ask)
                    if node.download_answer is not None:
                        self.ask(ask, partial(self._answer_ue, node, ticket, node.download_answer))
                case act.Asked(ticket=ticket, ask=act.EnableProfile() as ask):
                    answer = node.enable_answer or ev.ProfileEnabled(node.subscription)
                    self.ask(ask, partial(self._answer_ue, node, ticket, answer))
                case act.OpenUeBearer(bearer=bearer, pdcp=pdcp):
                    node.bearers[bearer] = pdcp
                case act.CloseRadioBearer(bearer=bearer):
                    node.bearers.pop(bearer, None)
                    node.network = None
                case act.StartNetwork():
                    node.network = action
                case act.Conclude():
                    node.outcome = action
                case _:
                    raise Misuse(f"the UE's shell does not know {type(action).__name__}")

    def _answer_ue(self, node: UeNode, ticket: int, answer: Any) -> None:
        self._ue(node, node.endpoint.answer(ticket, answer, self.ue_env(node)))

    def _ran(self, ran: RanEndpoint, actions: list[Any]) -> None:
        key = int(ran.ran_ue_id)
        for action in actions:
            match action:
                case act.Report(item=item):
                    self.items.append(item)
                case act.Transmit(octets=octets, to="radio"):
                    self.fly(InFlight("radio", False, octets, self.radio_of[key]))
                case act.Transmit(octets=octets):
                    self.fly(InFlight("n2", True, octets, key))
                case act.StartTimer():
                    self._start(ran, action)
                case act.StopTimer():
                    pass
                case act.Asked(ticket=ticket, ask=act.OpenRadioBearer(bearer=bearer, pdcp=pdcp) as ask):
                    self.ran_bearers[key, bearer] = pdcp
                    opened = ev.RadioBearerOpened(
                        TunnelEnd(IPv4Address("127.0.0.2"), 2152, Teid(7000 + key)),
                        UserPlaneAddress(IPv4Address("127.0.0.2"), 4997),
                    )
                    self.ask(ask, partial(self._answer_ran, ran, ticket, self.ran_answer or opened))
                case act.ConnectRadioBearer():
                    pass
                case act.CloseRadioBearer(bearer=bearer):
                    self.ran_bearers.pop((key, bearer), None)
                case act.Close():
                    self.rans.pop(key, None)
                case _:
                    raise Misuse(f"the RAN's shell does not know {type(action).__name__}")

    def _answer_ran(self, ran: RanEndpoint, ticket: int, answer: Any) -> None:
        self._ran(ran, ran.answer(ticket, answer, self.ran_env))

    def _cp(self, endpoint: CpEndpoint, actions: list[Any]) -> None:
        for action in actions:
            match action:
                case act.Report(item=item):
                    self.items.append(item)
                case act.Transmit(octets=octets):
                    self.fly(InFlight("n2", False, octets, int(endpoint.ran_ue_id)))
                case act.StartTimer():
                    self._start(endpoint, action)
                case act.StopTimer():
                    pass
                case act.Asked(ticket=ticket, ask=ask):
                    self.asks.append(ask)
                    self.ask(ask, partial(self._answer_cp, endpoint, ticket, self.cp_answer(ask)))
                case act.TellAaa(request=request):
                    self.asks.append(action)
                    self.aaa(request)
                case act.Register(record=record):
                    self._register(endpoint, record)
                case act.Deregister(guti=guti):
                    identity = self.gutis.pop(guti, None)
                    if self.registered.get(str(identity)) == endpoint.cp_ue_id:
                        del self.registered[str(identity)]
                case act.ConnectTunnel(uplink=uplink, downlink=downlink):
                    self.tunnels[uplink.teid] = downlink
                case act.CloseTunnel(teid=teid):
                    self.tunnels.pop(teid, None)
                case act.Close():
                    self.cps.pop(int(endpoint.cp_ue_id), None)
                case _:
                    raise Misuse(f"the CP's shell does not know {type(action).__name__}")

    def _answer_cp(self, endpoint: CpEndpoint, ticket: int, answer: Any) -> None:
        self._cp(endpoint, endpoint.answer(ticket, answer, self.cp_env))

    def _register(self, endpoint: CpEndpoint, record: Any) -> None:
        older = self.registered.get(str(record.identity))
        self.registered[str(record.identity)] = endpoint.cp_ue_id
        self.gutis[record.guti] = record.identity
        if older is not None and older != endpoint.cp_ue_id and older in self.cps:
            self.cp_event(older, ev.DetachOrdered(Cause.SUPERSEDED))

    def cp_answer(self, ask: Any) -> Any:
        match ask:
            case act.LookUpDevice(eid=eid):
                return ev.DeviceFound(self.devices.get(eid, DeviceRecord(eid, None)))
            case act.ReserveVector(supi=supi, resynchronise=sqn_ms):
                record = self.subscribers.get(supi)
                if record is None:
                    return ev.SubscriberUnknown()
                sqn = next_sqn(record.sqn if sqn_ms is None else sqn_ms)
                self.subscribers[supi] = replace(record, sqn=sqn)
                return ev.SubscriberFound(self.subscribers[supi])
            case act.AskAaa(request=request):
                return self.aaa(request)
            case act.ResolveGuti(guti=guti):
                identity = self.gutis.get(guti)
                return ev.SubscriberUnknown() if identity is None else ev.GutiResolved(identity)
            case act.OpenTunnel():
                self.teids += 1
                teid = Teid(self.teids)
                self.tunnels[teid] = None
                return ev.TunnelOpened(TunnelEnd(IPv4Address("127.0.0.3"), 2152, teid), IPv4Address("10.45.0.2"))
        raise Misuse(f"the CP's shell does not know {type(ask).__name__}")

    # --- looking ------------------------------------------------------------------------------------------------------

    def seen(self, role: str = "ue") -> list[str]:
        """Names of the messages that a node took down."""
        return [item.name for item in self.items if isinstance(item, MessageSeen) and item.role == role]

    def proofs(self) -> list[str]:
        return [item.text for item in self.items if isinstance(item, Proof)]

    def moves(self, role: str) -> list[Transition]:
        return [item for item in self.items if isinstance(item, Transition) and item.role == role]

    def discards(self, role: str | None = None) -> list[Discarded]:
        return [item for item in self.items if isinstance(item, Discarded) and role in (None, item.role)]

    def steps(self, role: str = "ue") -> list[tuple[int, bool]]:
        return [(item.step, item.ok) for item in self.items if isinstance(item, StepEnded) and item.role == role]

    def state(self, ue: UeNode) -> str:
        return type(ue.endpoint.nas.machine.state).__name__


def no_certificate(*_arguments: Any) -> Any:
    raise Misuse("this world has no certificates")


def no_aaa(_request: AccessRequest) -> Any:
    return ev.AaaSilent("this world has no AAA server")


def ordinary(imsi: Imsi = IMSI) -> Intent:
    return Intent(Purpose.ORDINARY, Subscription(imsi, PLMN))


def then_download() -> Intent:
    return Intent(Purpose.ORDINARY_THEN_DOWNLOAD, Subscription(IMSI, PLMN))


def provisioning(eid: Eid = EID) -> Intent:
    return Intent(Purpose.PROVISIONING, eid, eid=eid)


def left_over(world: World, ue: UeNode) -> dict[str, Any]:
    """Everything that is left of a UE on its three nodes, except tombstones; empty when nothing is."""
    numbers = [number for number, index in world.radio_of.items() if index == ue.index]
    cps = [world.cps[world.cp_of[n]] for n in numbers if world.cp_of.get(n) in world.cps]
    alive = [cp for cp in cps if type(cp.nas.machine.state).__name__ != "Gone"]
    contexts = (ue.endpoint.nas, *(cp.nas for cp in cps))
    found = {
        "keys": [c for n in contexts for c in (n.current, n.beside, n.partial, *n.derived) if c is not None],
        "cp": [type(cp.nas.machine.state).__name__ for cp in alive],
        "ran": [type(world.rans[n].machine.state).__name__ for n in numbers if n in world.rans],
        "registrations": [cp.cp_ue_id for cp in cps if cp.cp_ue_id in world.registered.values()],
        "tunnels": [held.teid for cp in cps if (held := cp.nas.machine.state.held).teid in world.tunnels],
        "ran bearers": [bearer for n, bearer in world.ran_bearers if n in numbers],
        "ue bearers": list(ue.bearers),
        "network": [ue.network] if ue.network else [],
        "connection": [ue.endpoint.ue_radio_id] if ue.endpoint.ue_radio_id else [],
    }
    if len(world.ues) == 1:
        found |= {"all tunnels": list(world.tunnels), "gutis": list(world.gutis)}
    return {what: values for what, values in found.items() if values}


def plain_nas(world: World, up: bool) -> list[Any]:
    """Every NAS message that crossed the radio without protection in one direction, for everybody to read."""
    found = []
    for frame in world.log:
        if frame.link == "radio" and frame.up is up and (message := read_plain(world, frame)) is not None:
            found.append(message)
    return found


def read_plain(world: World, frame: InFlight) -> Any:
    """The NAS message that a stranger reads from a frame of the radio; `None` where there is none to be read."""
    try:
        payload = decode_radio_frame(frame.octets).payload
        # SN (2) | kind 1 | plain header 0 | message | MAC-I of zeros (4)
        if frame.octets[:4] == bytes(4) or payload[2:4] != b"\1\0" or payload[-4:] != bytes(4):
            return None
        return world.nas.decode(payload[4:-4])
    except DecodeError:
        return None


def rewrite_plain(world: World, frame: InFlight, message: Any) -> InFlight:
    """The same frame with another unprotected NAS message in it, as a stranger on the radio would make it."""
    octets = frame.octets[:6] + b"\1\0" + world.nas.encode(message) + bytes(4)
    return replace(frame, octets=octets)
