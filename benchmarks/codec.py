"""How long a message takes to encode and decode: rprov, asn1tools and pycrate on the same grammars in the same run.

    python benchmarks/codec.py            JSON on stdout: microseconds per message, and how many times rprov is faster

rprov goes from octets to checked values and back (`Eid`, `IPv4Address`, dataclasses); asn1tools and pycrate go to
dictionaries and raw octets, which is less. asn1tools runs without `check_constraints`, as it is by default. Each figure
is the median of several rounds, and rounds of the three take turns, so that a busy machine hurts all alike.
"""

import importlib.util
import io
import json
import platform
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import geometric_mean, median
from time import perf_counter
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import asn1tools  # noqa: E402

from rprov.wire.link_asn1 import LinkAsn1  # noqa: E402
from rprov.wire.nas_asn1 import NasAsn1  # noqa: E402
from rprov.wire.radio_asn1 import RadioAsn1  # noqa: E402

ROUNDS = 15
SECONDS_PER_ROUND = 0.002
INTERFACES: dict[str, tuple[Callable[[], Any], str]] = {
    "nas": (NasAsn1, "NasMessage"),
    "link": (LinkAsn1, "LinkMessage"),
    "radio": (RadioAsn1, "RadioMessage"),
}

Action = Callable[[], object]


@dataclass(frozen=True)
class Contest:
    """One message in one direction: what each library does with it, by the library's name."""

    interface: str
    message: str
    octets: int
    direction: str
    actions: dict[str, Action]

    def run(self) -> dict[str, float]:
        """Microseconds, by library."""
        loops = {name: _loops(action) for name, action in self.actions.items()}
        rounds: dict[str, list[float]] = {name: [] for name in self.actions}
        for _ in range(ROUNDS):
            for name, action in self.actions.items():
                rounds[name].append(_seconds(action, loops[name]) / loops[name])
        return {name: median(times) * 1e6 for name, times in rounds.items()}


def _seconds(action: Action, loops: int) -> float:
    begin = perf_counter()
    for _ in range(loops):
        action()
    return perf_counter() - begin


def _loops(action: Action) -> int:
    _seconds(action, 20)
    return max(1, round(SECONDS_PER_ROUND / (_seconds(action, 50) / 50)))


def grammar_files(interface: str) -> list[Path]:
    """The grammars of an interface."""
    return [ROOT / "asn1" / name for name in ("rprov-types.asn", f"rprov-{interface}.asn")]


def pycrate_module(interface: str) -> ModuleType:
    """The grammars as pycrate compiles them: it writes a Python module, which is then imported."""
    from pycrate_asn1c.asnproc import GLOBAL, PycrateGenerator, compile_text, generate_modules

    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        target = Path(folder) / f"pycrate_{interface}.py"
        GLOBAL.clear()
        compile_text([path.read_text(encoding="utf-8") for path in grammar_files(interface)])
        generate_modules(PycrateGenerator, str(target))
        GLOBAL.clear()
        spec = importlib.util.spec_from_file_location(target.stem, target)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def contests(interface: str, vectors: list[dict[str, Any]]) -> list[Contest]:
    """The first vector of every message, in both directions. All three must agree on it, else there is no contest."""
    make, root = INTERFACES[interface]
    ours = make()
    bare = asn1tools.compile_files([str(path) for path in grammar_files(interface)], "uper")
    crate = getattr(getattr(pycrate_module(interface), f"Rprov{interface.capitalize()}"), root)
    found = []
    first: dict[str, dict[str, Any]] = {}
    for vector in vectors:
        first.setdefault(vector["message"], vector)
    for vector in first.values():
        octets = bytes.fromhex(vector["octets"])
        message, plain = ours.decode(octets), bare.decode(root, octets)
        crate.from_uper(octets)
        value = crate.get_val()

        def crate_encode(value: object = value) -> bytes:
            crate.set_val(value)
            return bytes(crate.to_uper())

        def crate_decode(octets: bytes = octets) -> object:
            crate.from_uper(octets)
            return crate.get_val()

        assert ours.encode(message) == bare.encode(root, plain) == crate_encode() == octets
        encoders: dict[str, Action] = {
            "rprov": lambda message=message: ours.encode(message),
            "asn1tools": lambda plain=plain: bare.encode(root, plain),
            "pycrate": crate_encode,
        }
        decoders: dict[str, Action] = {
            "rprov": lambda octets=octets: ours.decode(octets),
            "asn1tools": lambda octets=octets: bare.decode(root, octets),
            "pycrate": crate_decode,
        }
        found.append(Contest(interface, vector["message"], len(octets), "encode", encoders))
        found.append(Contest(interface, vector["message"], len(octets), "decode", decoders))
    return found


def main() -> None:
    """Run everything and print it."""
    vectors = json.loads((ROOT / "tests/vectors/rprov_messages.json").read_text(encoding="utf-8"))
    lines, ratios = [], {}
    for interface in INTERFACES:
        for contest in contests(interface, vectors[interface]):
            times = contest.run()
            line = {"interface": interface, "message": contest.message, "octets": contest.octets}
            line |= {"direction": contest.direction} | {f"{name}_us": round(us, 2) for name, us in times.items()}
            for other in ("asn1tools", "pycrate"):
                ratio = times[other] / times["rprov"]
                line[f"{other}_ratio"] = round(ratio, 2)
                ratios.setdefault(f"{contest.direction} {other}", []).append(ratio)
            lines.append(line)
    summary = {name: round(geometric_mean(values), 2) for name, values in sorted(ratios.items())}
    versions = {name: version(name) for name in ("asn1tools", "pycrate")}
    machine = {"python": platform.python_version(), "machine": platform.machine()} | versions
    json.dump({"machine": machine, "geometric_mean_of_ratios": summary, "messages": lines}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
