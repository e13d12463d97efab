"""The user plane of each node in an event loop: sockets around the planes of `session/tunnel.py`.

    UeNetwork -- UeUserPlane ))) radio (UDP) ((( RanUserPlane -- N3 (UDP) -- UpUserPlane -- N6Session -- servers

Each gives its sockets back in `close` and leaves no task behind. `now` of the filters is the loop's time.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address

from rprov.daemon.n6 import N6Session, NatMap
from rprov.daemon.udp import DOWNLINK, UPLINK, Observe, Traffic, UdpPort
from rprov.daemon.ue_network import UeNetwork
from rprov.errors import Misuse
from rprov.model.identifiers import Teid, UeRadioId
from rprov.model.session import TunnelEnd, UserPlaneAddress
from rprov.model.tap import LinkName, Tap
from rprov.session.ip.packet import DEFAULT_MTU
from rprov.session.ip.states import TcpLimits
from rprov.session.restriction import SessionFilter
from rprov.session.tunnel import DEFAULT_QFI, Pdcp, Peer, RanPlane, ToN3, ToN6, ToRadio, UePlane, UpPlane
from rprov.wire.radio_user import BEARER_OCTET

Entropy = Callable[[int], bytes]


class RanUserPlane:
    """The RAN: UEs' datagrams on one socket, GTP-U on the other."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        radio: UserPlaneAddress,
        n3: UserPlaneAddress,
        *,
        observe: Observe | None = None,
        tap: Tap | None = None,
    ) -> None:
        """Port 0 takes a free one; `radio_address` and `n3_address` tell which."""
        self._radio = UdpPort(
            loop,
            radio,
            self._from_radio,
            link="radio",
            receives=UPLINK,
            observe=observe,
            tap=tap,
            name=LinkName.RADIO_USER,
        )
        try:
            self._n3 = UdpPort(loop, n3, self._from_n3, link="n3", receives=DOWNLINK, observe=observe, tap=tap)
        except BaseException:
            self._radio.close()
            raise
        self._plane = RanPlane(self._n3.address.address)

    @property
    def radio_address(self) -> UserPlaneAddress:
        """Where UEs send to."""
        return self._radio.address

    @property
    def n3_address(self) -> UserPlaneAddress:
        """Where the UP sends to."""
        return self._n3.address

    @property
    def bearers(self) -> int:
        """How many bearers there are."""
        return len(self._plane)

    def add(
        self,
        ue_radio_id: UeRadioId,
        bearer: int,
        pdcp: Pdcp,
        uplink: TunnelEnd,
        downlink_teid: Teid,
        ue: UserPlaneAddress | None = None,
    ) -> None:
        """Join a bearer and a tunnel. Where the UE receives may come later, by `connect`."""
        self._plane.add(ue_radio_id, bearer, pdcp, uplink, downlink_teid, ue)

    def knows(self, downlink_teid: Teid) -> bool:
        """Say whether the TEID is in use."""
        return self._plane.knows(downlink_teid)

    def n3_end(self, downlink_teid: Teid) -> TunnelEnd:
        """Give the RAN's end of a tunnel, as the UP must know it."""
        return TunnelEnd(self.n3_address.address, self.n3_address.port, downlink_teid)

    def connect(self, ue_radio_id: UeRadioId, bearer: int, ue: UserPlaneAddress) -> None:
        """Say where the UE receives."""
        self._plane.connect(ue_radio_id, bearer, ue)

    def remove(self, ue_radio_id: UeRadioId, bearer: int) -> None:
        """Forget a bearer, if there is one."""
        self._plane.remove(ue_radio_id, bearer)

    def traffic(self) -> dict[tuple[str, str], Traffic]:
        """Datagrams and octets by link and direction."""
        return {
            ("radio", UPLINK): self._radio.received,
            ("radio", DOWNLINK): self._radio.sent,
            ("n3", UPLINK): self._n3.sent,
            ("n3", DOWNLINK): self._n3.received,
        }

    def dropped(self) -> Counter[str]:
        """Dropped packets by reason."""
        return self._plane.dropped + self._radio.dropped + self._n3.dropped

    def close(self) -> None:
        """Give the sockets back."""
        self._radio.close()
        self._n3.close()

    def _from_radio(self, datagram: bytes, source: Peer) -> None:
        if (out := self._plane.from_radio(datagram, source)) is not None:
            self._n3.send(*out)

    def _from_n3(self, packet: bytes, source: Peer) -> None:
        match self._plane.from_n3(packet, source):
            case ToRadio(octets, to):
                self._radio.send(octets, to)
            case ToN3(octets, to):
                self._n3.send(octets, to)
            case None:
                pass


class UpUserPlane:
    """The UP: GTP-U on one side; on the other each session's connections, ended here and carried on (`n6.py`)."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        n3: UserPlaneAddress,
        nat: NatMap,
        *,
        mtu: int = DEFAULT_MTU,
        entropy: Entropy = os.urandom,
        limits: TcpLimits | None = None,
        observe: Observe | None = None,
        tap: Tap | None = None,
    ) -> None:
        """Port 0 takes a free one; `n3_address` tells which. `limits` bound each session's connections."""
        self._loop = loop
        self._nat = nat
        self._mtu = mtu
        self._entropy = entropy
        self._limits = limits
        self._n6: dict[Teid, N6Session] = {}
        self._leaving: set[N6Session] = set()
        self._filters: dict[Teid, SessionFilter] = {}
        self._gone: Counter[str] = Counter()  # drops of sessions that are no more
        self._touched: dict[N6Session, None] = {}
        self._n3 = UdpPort(
            loop,
            n3,
            self._from_n3,
            link="n3",
            receives=UPLINK,
            batch_done=self._flush,
            observe=observe,
            tap=tap,
        )
        self._plane = UpPlane(self._n3.address.address)

    @property
    def n3_address(self) -> UserPlaneAddress:
        """Where RANs send to."""
        return self._n3.address

    @property
    def sessions(self) -> int:
        """How many sessions there are."""
        return len(self._n6)

    @property
    def connections(self) -> int:
        """How many TCP connections of UEs there are."""
        return sum(session.connections for session in self._n6.values())

    def add_session(
        self, uplink_teid: Teid, rules: SessionFilter, downlink: TunnelEnd | None = None, qfi: int = DEFAULT_QFI
    ) -> None:
        """Open a session. The RAN's end of its tunnel may come later, by `connect`."""
        self._plane.add_session(uplink_teid, rules, downlink, qfi)
        self._filters[uplink_teid] = rules
        self._n6[uplink_teid] = N6Session(
            self._loop,
            self._nat,
            lambda packet: self._to_ue(uplink_teid, packet),
            entropy=self._entropy,
            mtu=self._mtu,
            limits=self._limits,
        )

    def knows(self, uplink_teid: Teid) -> bool:
        """Say whether the TEID is in use."""
        return uplink_teid in self._n6

    def n3_end(self, uplink_teid: Teid) -> TunnelEnd:
        """Give the UP's end of a tunnel, as the RAN must know it."""
        return TunnelEnd(self.n3_address.address, self.n3_address.port, uplink_teid)

    def connect(self, uplink_teid: Teid, downlink: TunnelEnd) -> None:
        """Say where the RAN receives."""
        for packet, source in self._plane.connect(uplink_teid, downlink):
            self._from_n3(packet, source)
        self._flush()

    def remove_session(self, uplink_teid: Teid) -> None:
        """End a session and all its connections, if there is one; `close` waits for what that leaves to do."""
        session = self._n6.pop(uplink_teid, None)
        if session is None:
            return
        self._touched.pop(session, None)
        session.close()
        self._leaving = {other for other in self._leaving if other.busy} | {session}
        self._plane.remove_session(uplink_teid)
        self._gone += self._filters.pop(uplink_teid).dropped + session.dropped

    def traffic(self) -> dict[tuple[str, str], Traffic]:
        """Datagrams and octets by link and direction."""
        return {("n3", UPLINK): self._n3.received, ("n3", DOWNLINK): self._n3.sent}

    def dropped(self) -> Counter[str]:
        """Dropped packets by reason, those of the sessions' filters among them."""
        total = self._plane.dropped + self._n3.dropped + self._gone
        for rules in self._filters.values():
            total += rules.dropped
        for session in self._n6.values():
            total += session.dropped
        return total

    async def close(self) -> None:
        """End all sessions and give every socket back."""
        for uplink_teid in list(self._n6):
            self.remove_session(uplink_teid)
        self._n3.close()
        for session in self._leaving:
            await session.closed()

    def _from_n3(self, packet: bytes, source: Peer) -> None:
        match self._plane.from_n3(packet, source, self._loop.time()):
            case ToN6(inner, uplink_teid):
                session = self._n6[uplink_teid]
                session.deliver(inner)
                self._touched[session] = None
            case ToN3(octets, to):
                self._n3.send(octets, to)
            case None:
                pass

    def _flush(self) -> None:
        touched, self._touched = self._touched, {}
        for session in touched:
            session.flush()

    def _to_ue(self, uplink_teid: Teid, packet: bytes) -> None:
        if (out := self._plane.to_ue(uplink_teid, packet, self._loop.time())) is not None:
            self._n3.send(*out)


class UeUserPlane:
    """The UE: one socket on the radio for all its bearers, and an IP network on each that has a session."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: UserPlaneAddress,
        *,
        entropy: Entropy = os.urandom,
        limits: TcpLimits | None = None,
        observe: Observe | None = None,
        tap: Tap | None = None,
    ) -> None:
        """Port 0 takes a free one; `address` tells which. `limits` bound each session's connections."""
        self._loop = loop
        self._entropy = entropy
        self._limits = limits
        self._bearers: dict[int, _UeBearer] = {}
        self._touched: dict[UeNetwork, None] = {}
        self._gone: Counter[str] = Counter()  # drops, also of bearers that are no more
        self._port = UdpPort(
            loop,
            address,
            self._from_radio,
            link="radio",
            receives=DOWNLINK,
            batch_done=self._flush,
            observe=observe,
            tap=tap,
            name=LinkName.RADIO_USER,
        )

    @property
    def address(self) -> UserPlaneAddress:
        """Where the RAN sends to."""
        return self._port.address

    @property
    def bearers(self) -> int:
        """How many bearers there are."""
        return len(self._bearers)

    def open_bearer(self, ue_radio_id: UeRadioId, bearer: int, ran: UserPlaneAddress, pdcp: Pdcp) -> None:
        """Make the UE's end of a data radio bearer."""
        if bearer in self._bearers:
            raise Misuse("this bearer is already in use")
        self._bearers[bearer] = _UeBearer(UePlane(ue_radio_id, bearer, pdcp), (str(ran.address), ran.port))

    def start_network(
        self, bearer: int, address: IPv4Address | str, resolver: IPv4Address | str, mtu: int = DEFAULT_MTU
    ) -> UeNetwork:
        """Start the IP network of a session: the UE's address in it, and who answers DNS in it."""
        entry = self._bearers.get(bearer)
        if entry is None or entry.network is not None:
            raise Misuse("there is no such bearer, or it has its network")
        plane, ran = entry.plane, entry.ran

        def send(packet: bytes) -> None:
            if (datagram := plane.to_radio(packet)) is not None:
                self._port.send(datagram, ran)

        entry.network = UeNetwork(
            self._loop,
            IPv4Address(address),
            IPv4Address(resolver),
            send,
            entropy=self._entropy,
            mtu=mtu,
            limits=self._limits,
        )
        return entry.network

    def close_bearer(self, bearer: int) -> None:
        """End a bearer and its network, if there is one."""
        entry = self._bearers.get(bearer)
        if entry is None:
            return
        if entry.network is not None:
            entry.network.close()
            self._touched.pop(entry.network, None)
            self._gone += entry.network.dropped
        self._gone += entry.plane.dropped
        del self._bearers[bearer]

    def traffic(self) -> dict[tuple[str, str], Traffic]:
        """Datagrams and octets by link and direction."""
        return {("radio", UPLINK): self._port.sent, ("radio", DOWNLINK): self._port.received}

    def dropped(self) -> Counter[str]:
        """Dropped packets by reason."""
        total = self._port.dropped + self._gone
        for entry in self._bearers.values():
            total += entry.plane.dropped
            if entry.network is not None:
                total += entry.network.dropped
        return total

    def close(self) -> None:
        """End all bearers and give the socket back."""
        for bearer in list(self._bearers):
            self.close_bearer(bearer)
        self._port.close()

    def _from_radio(self, datagram: bytes, source: Peer) -> None:
        entry = self._bearers.get(datagram[BEARER_OCTET]) if len(datagram) > BEARER_OCTET else None
        if entry is None:
            self._gone["unknownBearer"] += 1
        elif source != entry.ran:
            self._gone["wrongRadioPeer"] += 1
        elif entry.network is None:
            self._gone["noNetwork"] += 1
        elif (packet := entry.plane.from_radio(datagram)) is not None:
            entry.network.deliver(packet)
            self._touched[entry.network] = None

    def _flush(self) -> None:
        touched, self._touched = self._touched, {}
        for network in touched:
            network.flush()


class _UeBearer:
    __slots__ = ("network", "plane", "ran")

    def __init__(self, plane: UePlane, ran: Peer) -> None:
        self.plane = plane
        self.ran = ran
        self.network: UeNetwork | None = None
