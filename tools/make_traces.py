"""Writes tests/traces/: captures of whole runs, good and failed, with their key logs and what their messages say.

    python tools/make_traces.py              all of them, anew; every octet that is random is another then
    python tools/make_traces.py no-order …   these
    python tools/make_traces.py --decode     only what the messages say (NAME.json), from the captures that are there
    python tools/make_traces.py --to PLACE   into another directory

Beside NAME.pcapng stand NAME.keys and NAME.json, the lines of `rprov trace decode --json` with those keys. Look
at what has changed before it is kept: it is what the tests believe from then on.
"""

import argparse
import io
import os
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

ROOT = Path(__file__).parent.parent
OPENSSL = {"resumed": "openssl_tickets.cnf"}
"""What OpenSSL reads when it is loaded, where a run needs another file than the others."""

sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from doubles.recorded_runs import RUNS, record  # noqa: E402

from rprov.cli.main import run as rprov  # noqa: E402

TRACES = ROOT / "tests" / "traces"


def said(*arguments: str) -> str:
    """Give what a command prints."""
    out = io.StringIO()
    with redirect_stdout(out):
        rprov(arguments)
    return out.getvalue()


def make(name: str, place: Path, decode_only: bool) -> None:
    """Write the files of one run."""
    pcap, keylog = place / f"{name}.pcapng", place / f"{name}.keys"
    if not decode_only:
        with tempfile.TemporaryDirectory() as network:
            record(RUNS[name], Path(network), pcap, keylog)
        for path in (pcap, keylog):
            path.chmod(0o644)
    (place / f"{name}.json").write_text(
        said("trace", "decode", "--json", "--keylog", str(keylog), str(pcap)), encoding="utf-8"
    )
    print(f"{name}: {pcap.stat().st_size} octets", flush=True)


def main() -> None:
    """Write what was asked for; each run in a process of its own, for OpenSSL reads its file once."""
    parser = argparse.ArgumentParser(description="Writes the captures of tests/traces/.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RUNS))
    parser.add_argument("--decode", action="store_true", help="keep the captures; write what stands beside them")
    parser.add_argument("--to", type=Path, default=TRACES, metavar="PLACE", help="where to write")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(RUNS):
        parser.error(f"no such run: {', '.join(sorted(unknown))}")
    asked.to.mkdir(parents=True, exist_ok=True)
    for name in asked.names or RUNS:
        wanted = str(ROOT / "rprov" / OPENSSL.get(name, "openssl.cnf"))
        if asked.names == [name] and os.environ.get("OPENSSL_CONF") == wanted:
            make(name, asked.to, asked.decode)
            continue
        options = ["--to", asked.to, *(["--decode"] if asked.decode else [])]
        environment = os.environ | {"OPENSSL_CONF": wanted}
        subprocess.run([sys.executable, Path(__file__).resolve(), name, *options], env=environment, check=True)


if __name__ == "__main__":
    main()
