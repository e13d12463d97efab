"""What an EAP-TLS authentication over RADIUS costs a server: `rprov aaa` beside FreeRADIUS and hostapd, in one run.

    python benchmarks/eap_tls.py [--rounds N] [--batch N]     JSON on stdout: microseconds of CPU, and ratios

Counted is the CPU time of the server's process alone, all its threads, as the kernel accounts it
(/proc/PID/task/*/schedstat). The load is the same for all: our own device and RADIUS client in this process, one
authentication at a time, TLS 1.3, P-256, EAP packets of at most 1,300 octets. Each server runs twice: without tickets,
and with them, and then each authentication resumes the one before. The servers take turns, batch by batch, so that a
busy machine hurts all alike; so does a bare handshake in memory (benchmarks/attach.py). A server that is not installed
is left out and named, and so is one that does not resume. Every answer is checked, and so are the keys in it.
"""

import argparse
import json
import sys
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from attach import Handshakes  # noqa: E402
from doubles.aaa_place import SECRET, AaaPlace  # noqa: E402
from doubles.pki import Pki  # noqa: E402
from doubles.radius_nas import Device, Nas  # noqa: E402
from doubles.radius_servers import Running, find, free_port, freeradius, hostapd, running  # noqa: E402

from rprov.config import format_settings  # noqa: E402
from rprov.model.aaa import AaaLimits, RadiusListen  # noqa: E402
from rprov.model.rates import AttemptRates  # noqa: E402
from rprov.model.sections import LogLevel, LogSettings  # noqa: E402
from rprov.model.tls import TlsChoices, TlsResumption  # noqa: E402
from rprov.wire.radius import Code  # noqa: E402

FRAGMENT = 1300
OURS = "rprov aaa"
RESUMED = ", resumed"
OTHERS = {"freeradius": freeradius, "hostapd": hostapd}
BARE = "bare TLS 1.3 handshake, server"


class Measured:
    """A running server with a client of ours, and a device behind it."""

    def __init__(self, server: Running, port: int, device: Device) -> None:
        self.process = server.process
        self.device = device
        self.nas = Nas(SECRET, server.asker(port))
        self.rounds = 0

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9

    def resumes(self) -> bool:
        """Whether what was asked for comes true: a ticket is taken and leads to keys, or none was wanted."""
        verdicts = [self.nas.run(self.device) for _ in range(2)]
        return self.device.resumed == self.device.resumes and all(verdict.peer_msk for verdict in verdicts)

    def batch(self, size: int) -> float:
        """Authenticate; give seconds of CPU for each."""
        began = self.cpu()
        for _ in range(size):
            verdict = self.nas.run(self.device)
            if verdict.code is not Code.ACCESS_ACCEPT or verdict.peer_msk is None:
                raise SystemExit(f"refused: {verdict}")
            if self.nas.keys(verdict) != verdict.peer_msk.octets:
                raise SystemExit("the keys are not those of the device")
            if self.device.resumed != self.device.resumes:
                raise SystemExit("resumed where it should not be, or not where it should")
            self.rounds = verdict.rounds
        return (self.cpu() - began) / size


def _ours(place: AaaPlace, port: int, resumes: bool) -> list[str]:
    settings = place.settings(
        radius=RadiusListen(port=port),
        fragment=FRAGMENT,
        log=LogSettings(level=LogLevel.WARNING),
        eap_tls=TlsChoices(resumption=TlsResumption(enabled=resumes)),
        limits=AaaLimits(attempts=AttemptRates(eid_burst=1_000_000, eum_burst=1_000_000)),
    )
    file = place.place / f"aaa-{port}.yaml"
    file.write_text(format_settings(settings))
    return [sys.executable, "-m", "rprov", "aaa", "-c", str(file)]


def _bare(handshakes: Handshakes, size: int) -> float:
    return sum(handshakes.run()["server"] for _ in range(size)) / size


def measure(rounds: int, batch: int) -> dict[str, Any]:
    """Run everything, by turns."""
    missing = [name for name in OTHERS if find(name) is None]
    pki = Pki(seed="benchmark")
    handshakes = Handshakes(pki, pki.make_device(eum=pki.make_eum(form="extension")))
    with ExitStack() as stack:
        here = Path(stack.enter_context(TemporaryDirectory()))
        here.chmod(0o755)
        place = AaaPlace(here / "pki")
        place.make_plain_device()
        servers, stubborn = {}, []
        there = (OURS, *(name for name in OTHERS if name not in missing))
        for resumes, name in product((False, True), there):
            port = free_port()
            own = here / f"{name.split()[-1]}-{port}"
            own.mkdir()
            values = {"pki": place.place, "port": port, "fragment": FRAGMENT, "resumes": resumes}
            command = _ours(place, port, resumes) if name == OURS else OTHERS[name](own, **values)
            device = place.device("plain", fragment=FRAGMENT, resumes=resumes)
            made = Measured(stack.enter_context(running(command, own / "log")), port, device)
            if made.resumes():
                servers[name + RESUMED * resumes] = made
            else:
                stubborn.append(name)
        runs: dict[str, list[float]] = {name: [] for name in (*servers, BARE)}
        for number in range(rounds + 1):
            for name, server in servers.items():
                spent = server.batch(batch)
                if number:  # the first batch warms up
                    runs[name].append(spent)
            spent = _bare(handshakes, batch)
            if number:
                runs[BARE].append(spent)
        passes = {name: server.rounds for name, server in servers.items()}
    cpu = {
        name: {"median": round(median(each) * 1e6, 1), "least": round(min(each) * 1e6, 1)}
        for name, each in runs.items()
    }

    def ratios(ending: str) -> dict[str, float]:
        """Ours against those of the same kind, and against what all of it stands on."""
        ours = cpu[OURS + ending]["median"]
        others = {name: each for name, each in cpu.items() if name.endswith(RESUMED) == bool(ending) or name == BARE}
        return {name: round(ours / each["median"], 2) for name, each in others.items() if name != OURS + ending}

    return {
        "batches": rounds,
        "authentications in each": batch,
        "missing": missing,
        "do not resume": stubborn,
        "radius rounds": passes,
        "cpu_us": cpu,
        "ours / others": ratios(""),
        "ours / others, resumed": ratios(RESUMED),
        "authentications per CPU second": {name: round(1e6 / cpu[name]["median"]) for name in servers},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15, help="batches for each server (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=50, help="authentications in a batch (default: %(default)s)")
    given = parser.parse_args()
    json.dump(measure(given.rounds, given.batch), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
