"""What a fleet of devices takes: `rprov demo --devices N` over real sockets, and how long each step took.

    python benchmarks/fleet.py [--devices 1 50 200] [--credential device|euicc]     JSON on stdout

All daemons and all devices share one process and one loop, so one core does the work of every node: this measures the
whole of rprov at once, not the capacity of a CP. Every device attaches twice (steps 1 to 3 with certificates, step 7
with AKA) and downloads a profile in between; at most 50 are under way at a time. Durations of steps hold the time that
a device waited for the others.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

ROOT = Path(__file__).parent.parent


def run(devices: int, credential: str) -> dict[str, Any]:
    """Run one fleet in a process and a directory of its own; its report, with what the process has cost."""
    command = [sys.executable, "-m", "rprov", "demo", "--report", "json"]
    with tempfile.TemporaryDirectory() as folder:
        command += ["--workdir", folder, "--devices", str(devices), "--credential", credential]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 1) or not done.stdout:
        raise SystemExit(f"the demo ended with {done.returncode}: {done.stderr.strip()}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return figures(json.loads(done.stdout), devices, wall, cpu)


def figures(report: dict[str, Any], devices: int, wall: float, cpu: float) -> dict[str, Any]:
    """What a report says in numbers: rates over the time in which devices were under way."""
    well = [device for device in report["devices"] if device["ok"]]
    seconds = report["totals"]["seconds"]
    if not well:
        raise SystemExit("no device got through")
    steps = {step["name"]: [] for step in well[0]["steps"]}
    for device in well:
        for step in device["steps"]:
            steps[step["name"]].append(step["ms"])
    return {
        "devices": devices,
        "provisioned": len(well),
        "seconds": round(seconds, 2),
        "devices_per_second": round(len(well) / seconds, 2),
        "attaches_per_second": round(2 * len(well) / seconds, 2),
        "process_wall_seconds": round(wall, 2),
        "process_cpu_seconds": round(cpu, 2),
        "radio_octets_per_device": round(report["totals"]["radio_octets"] / devices),
        "round_trips_per_device": round(report["totals"]["round_trips"] / devices, 1),
        "step_ms": {name: {"p50": round(median(each), 1), "p95": _p95(each)} for name, each in steps.items()},
    }


def _p95(values: list[float]) -> float:
    return round(quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0], 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 50, 200], help="fleets (default: %(default)s)")
    parser.add_argument("--credential", choices=["device", "euicc"], default="device")
    asked = parser.parse_args()
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    fleets = [run(devices, asked.credential) for devices in asked.devices]
    json.dump({"machine": machine, "credential": asked.credential, "fleets": fleets}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
