"""What links cost: messages, round trips and set-ups over every transport, beside bare loops in the same run.

    python benchmarks/transport.py [--rounds N] [--seconds S]     JSON on stdout

Both ends are in one process and one loop, over the loopback: one core does the work of both. Each kind of run has a
bare twin that does the same with nothing of ours around it: for TCP a pair of asyncio protocols that put a length
before each message and cut it off again, for user-space SCTP the library in its AF_CONN mode, without filter, paths or
links. Where the kernel has SCTP (`tools/with_sctp_kernel.sh`), that is measured as well, and pysctp beside it if it is
installed. Each kind has a fresh process, and they take turns, so that a busy machine hurts all alike. CPU is the time
of both ends for one message; shares are medians of the rounds', by CPU, which other work on the machine disturbs less.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import uvloop  # noqa: E402
from transport_bare import BareTcp, BareUsrsctp, Pysctp, pysctp  # noqa: E402

from rprov.model.sctp import SctpListen, SctpPeer  # noqa: E402
from rprov.transport import sctp_socket, tcp, usrsctp_library  # noqa: E402
from rprov.transport.link import Link, LinkLost, Listener, Transport  # noqa: E402
from rprov.transport.sctp import KernelSctp  # noqa: E402
from rprov.transport.usrsctp import UserSctp  # noqa: E402

HOST = "127.0.0.1"
SIZES = (100, 1200, 16000)
ECHO, SINK, END = 0, 1, 2
"""What the first octet of a message asks for."""
AT_ONCE = 50
BATCH = 200
"""Messages between two looks at the clock."""
LOSSES = (0, 1, 5)
TWINS = {"tcp": "bare tcp", "usrsctp": "bare usrsctp", "sctp": "pysctp"}
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def transport_of(kind: str, loss: float = 0, seed: int = 0) -> Transport:
    """The transport of a kind that is ours; `loss` is the share of packets that each end loses."""
    if kind == "tcp":
        return tcp
    if kind == "sctp":
        return KernelSctp()
    drawn = random.Random(seed)
    drop = (lambda: drawn.random() < loss) if loss else None
    return UserSctp(SctpListen(udp_port=0), SctpPeer(udp_port=0), drop)


class Ours:
    """One of our links, as the measurements want it; the bare ones have the same methods."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @classmethod
    async def open(cls, transport: Transport, port: int) -> "Ours":
        return cls(await transport.connect(HOST, port))

    async def send(self, payload: bytes) -> None:
        await self._link.send(1, 1, payload)

    async def receive(self) -> bytes:
        frame = await self._link.receive()
        return frame.payload if frame is not None else b""

    def abort(self) -> None:
        self._link.abort()


async def serve_ours(transport: Transport) -> Listener:
    """Answer what messages ask for."""

    async def on_link(link: Link) -> None:
        while (frame := await link.receive()) is not None:
            if frame.payload[0] != SINK:
                await link.send(frame.stream, frame.ppid, frame.payload)
        await link.close()

    return await transport.listen(HOST, 0, on_link)


BARE: dict[str, Any] = {"bare tcp": BareTcp, "bare usrsctp": BareUsrsctp, "pysctp": Pysctp}


async def opened(kind: str, port: int, loss: float) -> Any:
    if kind in BARE:
        return await BARE[kind].open(port)
    return await Ours.open(transport_of(kind, loss, 6951), port)


@asynccontextmanager
async def serving(kind: str, loss: float) -> AsyncIterator[int]:
    """Somebody who answers; gives the port."""
    if kind in BARE:
        yield await BARE[kind].serve()
        return
    listener = await serve_ours(transport_of(kind, loss, 9260))
    yield listener.port
    await listener.close()


async def flood(end: Any, size: int, seconds: float) -> dict[str, float]:
    """Send for so long, and wait until everything has arrived."""
    payload = bytes([SINK]) + bytes(size - 1)
    spent = time.process_time()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for _ in range(BATCH):
            await end.send(payload)
        count += BATCH
        await asyncio.sleep(0)
    await end.send(bytes([END]))
    await end.receive()
    took = time.perf_counter() - began
    spent = time.process_time() - spent
    return {"per_s": count / took, "mb_per_s": count * size / took / 1e6, "cpu_us": spent / count * 1e6}


async def ping(end: Any, seconds: float) -> dict[str, float]:
    """One message there and back at a time."""
    payload = bytes([ECHO]) + bytes(99)
    times = []
    began, spent = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        sent = time.perf_counter()
        await end.send(payload)
        await end.receive()
        times.append(time.perf_counter() - sent)
    cpu = (time.process_time() - spent) / len(times)
    times.sort()
    trips = {f"p{percent}_us": times[int(len(times) * percent / 100)] * 1e6 for percent in (50, 95, 99)}
    return {**trips, "cpu_us": cpu * 1e6}


async def set_up(kind: str, port: int, loss: float, seconds: float) -> dict[str, float]:
    """Open links one after the other, then many at once."""
    rates = {}
    for name, at_once in (("one_by_one", 1), (f"{AT_ONCE}_at_once", AT_ONCE)):
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            ends = await asyncio.gather(*(opened(kind, port, loss) for _ in range(at_once)))
            count += len(ends)
            for end in ends:
                end.abort()
            await asyncio.sleep(0)
        rates[name] = count / (time.perf_counter() - began)
    return rates


async def measure(kind: str, seconds: float, loss: float) -> dict[str, Any]:
    async with serving(kind, loss) as port:
        end = await opened(kind, port, loss)
        result: dict[str, Any] = {}
        for size in SIZES if not loss else SIZES[:2]:
            result[f"{size} octets"] = await flood(end, size, seconds)
        result["round trip"] = await ping(end, seconds)
        end.abort()
        if kind != "pysctp":
            result["set-ups per s"] = await set_up(kind, port, loss, seconds / 2)
    return result


def run(kind: str, loop: str, seconds: float, loss: float) -> dict[str, Any]:
    """Measure one kind in a fresh process."""
    command = [sys.executable, __file__, "--kind", kind, "--loop", loop, "--loss", str(loss), "--seconds", str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60 + 40 * seconds)
    return dict(json.loads(done.stdout))


# --- the whole ----------------------------------------------------------------------------------------------------


def kinds() -> list[str]:
    found = ["bare tcp", "tcp"]
    if usrsctp_library.available():
        found += ["bare usrsctp", "usrsctp"]
    if sctp_socket.available():
        found += ["sctp", *(["pysctp"] if pysctp is not None else [])]
    return found


def middle(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure."""
    return {
        key: middle([result[key] for result in results])
        if isinstance(value, dict)
        else float(f"{median(result[key] for result in results):.4g}")
        for key, value in results[0].items()
    }


def shares(ours: list[dict[str, Any]], bare: list[dict[str, Any]]) -> dict[str, float]:
    """How much of the bare twin's rate is left, by CPU, round by round."""
    return {
        what: round(median(its[what]["cpu_us"] / mine[what]["cpu_us"] for mine, its in zip(ours, bare, strict=True)), 2)
        for what in (*(f"{size} octets" for size in SIZES), "round trip")
    }


def compare(rounds: int, seconds: float, wanted: list[str]) -> dict[str, Any]:
    """Everything, with the kinds by turns."""
    results: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for _ in range(rounds):
        for loop in LOOPS:
            for kind in wanted:
                results[f"{kind}, {loop}"].append(run(kind, loop, seconds, 0))
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "rounds": rounds,
        "links": {name: middle(found) for name, found in results.items()},
        "shares of the bare twin's rate, by CPU": {
            f"{kind}, {loop}": shares(results[f"{kind}, {loop}"], results[f"{twin}, {loop}"])
            for kind, twin in TWINS.items()
            for loop in LOOPS
            if f"{twin}, {loop}" in results
        },
    }
    if "usrsctp" in wanted:
        report["usrsctp, uvloop, packets lost each way"] = {
            f"{percent} %": run("usrsctp", "uvloop", 4 * seconds, percent / 100) for percent in LOSSES[1:]
        }
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description="What links cost, beside bare loops.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.7, help="of each measurement")
    parser.add_argument("--kinds", nargs="*", choices=[*TWINS, *TWINS.values()], help="default: all that run here")
    for hidden in ("--kind", "--loop"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--loss", type=float, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.kind:
        with asyncio.Runner(loop_factory=LOOPS[given.loop]) as runner:
            print(json.dumps(runner.run(measure(given.kind, given.seconds, given.loss))))
        return
    print(json.dumps(compare(given.rounds, given.seconds, given.kinds or kinds()), indent=2))


if __name__ == "__main__":
    try:
        main()
    except LinkLost as error:
        sys.exit(str(error))
