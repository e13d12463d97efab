"""Writes tests/traces/: captures of whole runs, good and failed, with their key logs and what their messages say.

    python tools/make_traces.py              all of them, anew; every octet that is random is another then
    python tools/make_traces.py no-order …   these
    python tools/make_traces.py --decode     only what the messages say (NAME.json), from the captures that are there

Beside NAME.pcapng stand NAME.keys, NAME.json (the lines of `rprov trace decode --json`) and NAME.verify (what `rprov
trace verify` must print). Look at what changed before it is kept: it is what the tests believe from then on.
"""

import argparse
import io
import os
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

ROOT = Path(__file__).parent.parent
os.environ.setdefault("OPENSSL_CONF", str(ROOT / "rprov" / "openssl.cnf"))  # before OpenSSL is loaded
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


def main() -> None:
    """Write what was asked for."""
    parser = argparse.ArgumentParser(description="Writes the captures of tests/traces/.")
    parser.add_argument("names", nargs="*", choices=[[], *RUNS], metavar="NAME", help=", ".join(RUNS))
    parser.add_argument("--decode", action="store_true", help="keep the captures; write what stands beside them")
    asked = parser.parse_args()
    TRACES.mkdir(exist_ok=True)
    os.chdir(TRACES)  # so that no path of this machine stands in what is printed
    for name in asked.names or RUNS:
        pcap, keylog = Path(f"{name}.pcapng"), Path(f"{name}.keys")
        if not asked.decode:
            with tempfile.TemporaryDirectory() as place:
                record(RUNS[name], Path(place), pcap, keylog)
            for path in (pcap, keylog):
                path.chmod(0o644)
        Path(f"{name}.json").write_text(said("trace", "decode", "--json", str(pcap)), encoding="utf-8")
        verified = said("trace", "verify", str(pcap), "--keylog", str(keylog))
        Path(f"{name}.verify").write_text(verified, encoding="utf-8")
        print(f"{name}: {pcap.stat().st_size} octets", flush=True)


if __name__ == "__main__":
    main()
