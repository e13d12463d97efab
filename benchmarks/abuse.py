"""What strangers cost, and what they cost honest devices: CPU and memory of attaches that prove nothing, and a flood.

    python benchmarks/abuse.py [--half-open N] [--devices N]     JSON on stdout

* CPU of the network for one ClientHello, in memory, from the Start to the server's whole flight.
* Memory of one half-open attach: what its EAP server and TLS connection hold in memory (the process before and after,
  OpenSSL included; and the part that Python knows of), and what RAN and CP together hold for one on real sockets.
* How long an honest device needs, quiet and while another process floods the same RAN: steps 1 to 3, and all seven.
  Strangers come as fast as they are answered, or at a pace.
"""

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import uvloop  # noqa: E402
from doubles.flood import How, Stranger, client_hello  # noqa: E402
from doubles.network import Device, Network, ends, until  # noqa: E402
from doubles.pki import EID, NOW, shared_pki  # noqa: E402

from rprov.auth.eap_tls import EapTlsServerEngines  # noqa: E402
from rprov.auth.scheme import Challenge, NetworkScheme  # noqa: E402
from rprov.crypto.tls_context import TlsCredentials  # noqa: E402
from rprov.model.limits import CpLimits, RanLimits  # noqa: E402
from rprov.wire.messages import AuthenticationResponse, Eap  # noqa: E402

LINKS = 4
AT_ONCE = 25
"""Attaches that one flooding link has under way before it asks for more."""
TURNS = 2
ATTACHED, WHOLE = "steps 1 to 3, ms", "all seven steps, ms"
ENGINE = "EAP server and TLS"
MEMORY = {ENGINE: How.HELLO, "RAN and CP, nothing but asked": How.STUCK, "RAN and CP, after a ClientHello": How.HELLO}
FLOODS: dict[str, tuple[How, int | None]] = {
    "stuck, 200/s": (How.STUCK, 200),
    "hello, 100/s": (How.HELLO, 100),
    "hello, as fast as answered": (How.HELLO, None),
    "garbage, as fast as answered": (How.GARBAGE, None),
}


def _engines() -> EapTlsServerEngines:
    pki = shared_pki()
    return EapTlsServerEngines(TlsCredentials(pki.network.chain, pki.network.key), [pki.ci.certificate])


def _hello(engines: EapTlsServerEngines, hello: bytes) -> NetworkScheme:
    """Go as far as a stranger can: the network has made its flight."""
    scheme = engines.scheme(EID, "5G:mnc001.mcc001.3gppnetwork.org", NOW)
    scheme.begin()
    if not isinstance(scheme.on_response(AuthenticationResponse(Eap(hello))), Challenge):
        raise SystemExit("the network does not answer a ClientHello")
    return scheme


def cpu_of_a_hello(rounds: int) -> float:
    """Median microseconds."""
    engines, hello = _engines(), client_hello(shared_pki().device)
    times = []
    for _ in range(rounds):
        began = time.thread_time()
        _hello(engines, hello)
        times.append(time.thread_time() - began)
    return median(times) * 1e6


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def memory_of_an_engine(count: int) -> dict[str, float]:
    """KiB for one: resident, and the part that Python has allocated."""
    engines, hello = _engines(), client_hello(shared_pki().device)
    held = [_hello(engines, hello) for _ in range(50)]  # so that what is made once is there
    gc.collect()
    before = _resident()
    held += [_hello(engines, hello) for _ in range(count)]
    gc.collect()
    resident = (_resident() - before) / count
    tracemalloc.start()
    began = tracemalloc.get_traced_memory()[0]
    more = [_hello(engines, hello) for _ in range(100)]
    python = (tracemalloc.get_traced_memory()[0] - began) / len(more)
    tracemalloc.stop()
    return {"resident": resident / 1024, "of that Python": python / 1024}


def _roomy(half_open: int, backoff: int = 1) -> dict[str, Any]:
    cp = CpLimits(half_open_per_link=half_open, half_open_per_ran=half_open, half_open=half_open, backoff=backoff)
    ran = RanLimits(half_open_per_link=2 * half_open, half_open=2 * half_open, backoff=backoff)
    return {
        "cp": lambda settings: replace(settings, limits=cp),
        "ran": lambda settings: replace(settings, limits=ran),
    }


async def memory_of_a_half_open(place: Path, count: int, how: How) -> float:
    """KiB resident for one attach in a process that is RAN and CP, and the stranger's end of the link, too."""
    async with Network(place, **_roomy(count + 100)) as net:
        hello = client_hello(shared_pki().device)
        async with AsyncExitStack() as stack:
            stranger = await Stranger.connect(net.ran.port, how, hello)
            stack.push_async_callback(stranger.close)
            await _begun(net, stranger, how, 50)
            gc.collect()
            before = _resident()
            await _begun(net, stranger, how, count)
            gc.collect()
            return (_resident() - before) / count / 1024


async def _begun(net: Network, stranger: Stranger, how: How, count: int) -> None:
    """Have so many more half-open attaches, as far as such a stranger goes."""
    goal = stranger.heard["RrcSetup"] + count
    more = stranger.heard["more"] + count
    await stranger.begin(count)
    await until(lambda: stranger.heard["RrcSetup"] == goal and len(net.cp._half_open) == goal)
    if how is How.HELLO:
        await until(lambda: stranger.heard["more"] >= more)
    net.seen.items.clear()


async def flood(port: int, how: How, pace: int | None) -> None:
    """Be the strangers, until killed."""
    hello = client_hello(shared_pki().device)
    crowd = [await Stranger.connect(port, how, hello) for _ in range(LINKS)]
    began, asked = time.monotonic(), 0
    print("flooding", flush=True)
    while True:
        for stranger in crowd:
            before = stranger.heard["RrcSetup"] + stranger.heard["RrcReject"]
            await stranger.begin(AT_ONCE)
            while stranger.heard["RrcSetup"] + stranger.heard["RrcReject"] < before + AT_ONCE:
                await asyncio.sleep(0.001)
            asked += AT_ONCE
            if pace is not None:
                await asyncio.sleep(max(0.0, began + asked / pace - time.monotonic()))


@asynccontextmanager
async def flooded(port: int, name: str) -> AsyncIterator[None]:
    """Have another process flood a RAN."""
    command = [sys.executable, __file__, "--flood", name, "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        if process.stdout is None or not await asyncio.to_thread(process.stdout.readline):
            raise SystemExit("the flood did not begin")
        try:
            yield
        finally:
            process.kill()


async def _serve(net: Network, devices: list[Device]) -> dict[str, float]:
    """Median milliseconds, one device after the other, and how many strangers came meanwhile."""
    attached, whole = [], []
    began_at, asked = time.monotonic(), net.ran._next_id
    for device in devices:
        net.seen.items.clear()
        began = time.perf_counter()
        third = net.seen.next(ends(3))
        async with net.ue(device) as ue:
            await third
            attached.append(time.perf_counter() - began)
            ended = await ue.outcome()
            whole.append(time.perf_counter() - began)
        if not ended.ok:
            raise SystemExit(f"an honest device was not served: {ended}")
    strangers = net.ran._next_id - asked - 2 * len(devices)
    return {
        ATTACHED: median(attached) * 1e3,
        WHOLE: median(whole) * 1e3,
        "strangers a second": max(0.0, strangers / (time.monotonic() - began_at)),
    }


async def honest(place: Path, devices: int, name: str) -> dict[str, Any]:
    """The same network quiet, flooded, and so on by turns, so that a busy machine hurts both alike."""
    async with Network(place, **_roomy(500)) as net:
        await _serve(net, [await net.device()])
        runs: dict[str, list[dict[str, float]]] = {"quiet": [], "flooded": []}
        for _ in range(TURNS):
            made = [await net.device() for _ in range(2 * devices)]
            runs["quiet"].append(await _serve(net, made[:devices]))
            async with flooded(net.ran.port, name):
                await until(lambda: len(net.cp._half_open) >= 100)
                runs["flooded"].append(await _serve(net, made[devices:]))
            await until(lambda: not len(net.cp._half_open))
    found: dict[str, Any] = {
        kind: {key: median(run[key] for run in turns) for key in turns[0]} for kind, turns in runs.items()
    }
    found["flooded / quiet"] = {key: found["flooded"][key] / found["quiet"][key] for key in (ATTACHED, WHOLE)}
    return found


def _memory(what: str, count: int) -> Any:
    """Measure in a process of its own: memory that somebody has given back hides what the next one takes."""
    command = [sys.executable, __file__, "--memory", what, "--half-open", str(count)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


async def measure(half_open: int, devices: int) -> dict[str, Any]:
    """Everything, one after the other."""
    memory = {what: _memory(what, half_open) for what in MEMORY}
    under = {}
    for name in FLOODS:
        with TemporaryDirectory() as directory:
            under[name] = await honest(Path(directory), devices, name)
    return {
        "CPU of a ClientHello, us": cpu_of_a_hello(500),
        "memory of a half-open attach, KiB": memory,
        "honest devices": under,
    }


def main() -> None:
    """Measure, or be the flood of another one who does."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--half-open", type=int, default=1000)
    parser.add_argument("--devices", type=int, default=10)
    parser.add_argument("--flood", choices=FLOODS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--memory", choices=MEMORY, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.memory == ENGINE:
        print(json.dumps(memory_of_an_engine(asked.half_open)))
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if asked.flood is not None:
            runner.run(flood(asked.port, *FLOODS[asked.flood]))
            return
        if asked.memory is not None:
            with TemporaryDirectory() as directory:
                used = memory_of_a_half_open(Path(directory), asked.half_open, MEMORY[asked.memory])
                print(json.dumps(runner.run(used)))
            return
        found = runner.run(measure(asked.half_open, asked.devices))
    print(json.dumps(found, indent=2, default=str))


if __name__ == "__main__":
    main()
