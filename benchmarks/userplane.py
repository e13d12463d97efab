"""What the user plane costs: microseconds per packet for each step, and a download through all of it.

`python benchmarks/userplane.py` prints one JSON object. Nothing but the loopback and no privileges are needed.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from math import inf
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import httpcore

from rprov.crypto.hierarchy import KGnb
from rprov.daemon.n6 import NatMap
from rprov.daemon.session_http import SessionBackend
from rprov.daemon.userplane import RanUserPlane, UeUserPlane, UpUserPlane
from rprov.model.identifiers import Teid, UeRadioId
from rprov.model.security import Algorithms, Nea, Nia
from rprov.model.session import TunnelEnd, UserPlaneAddress
from rprov.security.pdcp import DRB_SN_BITS, PdcpEntity, PdcpKeys
from rprov.session.ip.segment import HEADERS_OCTETS, Flag, SegmentWriter, decode_segment
from rprov.session.restriction import Restriction, SessionFilter
from rprov.session.tunnel import RanPlane, UePlane, UpPlane
from rprov.wire.gtpu import PduType, encode_gpdu, read_gpdu

UE, GATEWAY, SERVER = IPv4Address("10.45.0.2"), IPv4Address("10.45.0.1"), IPv4Address("198.51.100.7")
UPLINK, DOWNLINK, RADIO_ID, BEARER = Teid(1), Teid(2), UeRadioId(3), 1
RAN_N3, UP_N3, UE_RADIO = ("127.0.0.2", 2152), ("127.0.0.3", 2152), ("127.0.0.4", 4000)
DOWNLOAD_OCTETS = 5_000_000
ROUNDS = 5
PACKETS = 5000


def bearer_ends() -> tuple[PdcpEntity, PdcpEntity]:
    """Both ends of a bearer with 128-NEA2 and 128-NIA2."""
    keys = PdcpKeys.of_drb(KGnb(bytes(32)), Algorithms(Nea.NEA2, Nia.NIA2), integrity_on=True, ciphering_on=True)
    return PdcpEntity(BEARER, DRB_SN_BITS, 0, keys, 512), PdcpEntity(BEARER, DRB_SN_BITS, 1, keys, 512)


def rules() -> SessionFilter:
    """A session that may reach one server."""
    return SessionFilter(Restriction(UE, GATEWAY, "smdp.example.com", frozenset({(SERVER, 6, 443)}), 0, inf))


def microseconds(step: Callable[[bytes], object], inputs: list[bytes]) -> float:
    """Process time per call, once for each input."""
    started = time.process_time()
    for octets in inputs:
        step(octets)
    return round((time.process_time() - started) / len(inputs) * 1e6, 2)


def per_packet(payload: int) -> dict[str, float]:
    """Each step of the way, for TCP segments with so many octets of payload."""
    ue_pdcp, ran_pdcp = bearer_ends()
    ue, ran, up = UePlane(RADIO_ID, BEARER, ue_pdcp), RanPlane(IPv4Address(RAN_N3[0])), UpPlane(IPv4Address(UP_N3[0]))
    ran.add(
        RADIO_ID,
        BEARER,
        ran_pdcp,
        TunnelEnd(IPv4Address(UP_N3[0]), UP_N3[1], UPLINK),
        DOWNLINK,
        UserPlaneAddress(IPv4Address(UE_RADIO[0]), UE_RADIO[1]),
    )
    up.add_session(UPLINK, rules(), TunnelEnd(IPv4Address(RAN_N3[0]), RAN_N3[1], DOWNLINK))
    text = os.urandom(payload)
    there = SegmentWriter(UE.packed, 50000, SERVER.packed, 443)
    back = SegmentWriter(SERVER.packed, 443, UE.packed, 50000)
    uplink = [there.write(number, 0, Flag.ACK, 1000, text) for number in range(PACKETS)]
    downlink = [back.write(number, 0, Flag.ACK, 1000, text) for number in range(PACKETS)]
    radio_up = [ue.to_radio(packet) or b"" for packet in uplink]
    filter_alone = rules()
    result = {"ue to radio": microseconds(UePlane(RADIO_ID, BEARER, bearer_ends()[0]).to_radio, uplink)}
    n3_up: list[bytes] = [encode_gpdu(UPLINK, PduType.UPLINK, 9, packet) for packet in uplink]
    n3_down: list[bytes] = [encode_gpdu(DOWNLINK, PduType.DOWNLINK, 9, packet) for packet in downlink]
    radio_down: list[bytes] = []

    def ran_down(packet: bytes) -> None:
        out = ran.from_n3(packet, UP_N3)
        if out is not None:
            radio_down.append(out.octets)

    result["ran radio to n3"] = microseconds(lambda datagram: ran.from_radio(datagram, UE_RADIO), radio_up)
    result["up n3 to n6"] = microseconds(lambda packet: up.from_n3(packet, RAN_N3, 0.0), n3_up)
    result["up n6 to n3"] = microseconds(lambda packet: up.to_ue(UPLINK, packet, 0.0), downlink)
    result["ran n3 to radio"] = microseconds(ran_down, n3_down)
    result["ue from radio"] = microseconds(ue.from_radio, radio_down)
    result["filter alone"] = microseconds(lambda packet: filter_alone.uplink(packet, 0.0), uplink)
    result["gtpu encode"] = microseconds(lambda packet: encode_gpdu(UPLINK, PduType.UPLINK, 9, packet), uplink)
    result["gtpu decode"] = microseconds(lambda packet: read_gpdu(packet, PduType.UPLINK), n3_up)
    result["tcp segment encode"] = microseconds(lambda _: there.write(1, 2, Flag.ACK, 1000, text), uplink)
    result["tcp segment decode"] = microseconds(decode_segment, uplink)
    return result


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer requests with the download."""
    body = bytes(DOWNLOAD_OCTETS)
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


async def fetch(pool: httpcore.AsyncConnectionPool, url: str) -> float:
    """MB/s (10^6 octets) of the best of some downloads."""
    best = 0.0
    for _ in range(ROUNDS):
        started = time.perf_counter()
        answer = await pool.request("GET", url)
        best = max(best, len(answer.content) / (time.perf_counter() - started) / 1e6)
    return round(best, 1)


async def downloads(mtu: int) -> dict[str, float]:
    """A download directly over the loopback, and one through UE, RAN and UP, all in this process."""
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    here = UserPlaneAddress(IPv4Address("127.0.0.1"), 0)
    ran = RanUserPlane(loop, here, here)
    up = UpUserPlane(loop, here, NatMap({(SERVER, 443): ("127.0.0.1", port)}), mtu=mtu)
    ue = UeUserPlane(loop, here)
    ue_pdcp, ran_pdcp = bearer_ends()
    up.add_session(UPLINK, rules(), ran.n3_end(DOWNLINK))
    ran.add(RADIO_ID, BEARER, ran_pdcp, up.n3_end(UPLINK), DOWNLINK, ue.address)
    ue.open_bearer(RADIO_ID, BEARER, ran.radio_address, ue_pdcp)
    network = ue.start_network(BEARER, UE, GATEWAY, mtu)
    try:
        async with httpcore.AsyncConnectionPool() as pool:
            direct = await fetch(pool, f"http://127.0.0.1:{port}/")
        async with httpcore.AsyncConnectionPool(network_backend=SessionBackend(network)) as pool:
            started = time.process_time()
            session = await fetch(pool, f"http://{SERVER}:443/")
            spent = time.process_time() - started
        packets = sum(traffic.packets for traffic in ue.traffic().values())
    finally:
        ue.close()
        ran.close()
        await up.close()
        server.close()
        await server.wait_closed()
    return {
        "direct MB/s": direct,
        "through the user plane MB/s": session,
        "microseconds per packet, whole chain": round(spent / packets * 1e6, 1),
    }


def main() -> None:
    """Measure and print."""
    report = {
        "microseconds per packet": {f"{size} octets": per_packet(size) for size in (24, 1400 - HEADERS_OCTETS)},
        f"download of {DOWNLOAD_OCTETS} octets": {f"MTU {mtu}": asyncio.run(downloads(mtu)) for mtu in (1400, 9000)},
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
