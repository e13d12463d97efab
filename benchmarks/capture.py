"""What it costs a node to record a message, and what it costs to read a capture: CPU time, one thread.

python benchmarks/capture.py            JSON on stdout: microseconds per message; medians of rounds
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import thread_time

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from rprov.model.identifiers import CpUeId, Eid, RanUeId  # noqa: E402
from rprov.model.numbers import Ppid  # noqa: E402
from rprov.model.secret import Secret  # noqa: E402
from rprov.model.security import SecurityCapability  # noqa: E402
from rprov.model.tap import LinkName  # noqa: E402
from rprov.model.tracing import TraceSettings  # noqa: E402
from rprov.trace.capture import read_capture  # noqa: E402
from rprov.trace.decode import decode  # noqa: E402
from rprov.trace.keylog import read_keys  # noqa: E402
from rprov.trace.tracing import tracing  # noqa: E402
from rprov.trace.verify.check import check  # noqa: E402
from rprov.wire.link import InitialContextSetupRequest, N2Frame, N2Kind  # noqa: E402
from rprov.wire.link_asn1 import encode_link  # noqa: E402
from rprov.wire.messages import AttachRequest, AttachType, AuthenticationResponse, Eap  # noqa: E402
from rprov.wire.nas_asn1 import encode_nas  # noqa: E402

ROUNDS, MESSAGES = 7, 500
CP, RAN = ("192.0.2.1", 29712), ("192.0.2.2", 40000)
CAPABILITY = SecurityCapability(0x70, 0x70)
EID = Eid.with_check_digits("890490321234512345123456789012")


def n2(kind: N2Kind, payload: bytes) -> bytes:
    """One message of N2."""
    return N2Frame(RanUeId(1), CpUeId(2), kind, payload).encode()


CASES = {
    "attach_request": n2(
        N2Kind.INITIAL_NAS, b"\0" + encode_nas(AttachRequest(AttachType.REMOTE_PROVISIONING, EID, 7, CAPABILITY))
    ),
    "eap_of_1336_octets": n2(N2Kind.NAS, b"\0" + encode_nas(AuthenticationResponse(Eap(b"\2\2\5\x3e" + bytes(1338))))),
    "k_gnb_redacted": n2(N2Kind.CONTROL, encode_link(InitialContextSetupRequest(Secret(bytes(range(32))), CAPABILITY))),
    "ciphered_nas": n2(N2Kind.NAS, b"\2" + bytes(60)),
}


def micros(work: Callable[[], object], count: int) -> float:
    """The median of the rounds, for one of `count`."""
    seconds = []
    for _ in range(ROUNDS):
        begun = thread_time()
        work()
        seconds.append(thread_time() - begun)
    return round(median(seconds) / count * 1e6, 1)


def main() -> None:
    """Measure, and print."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "run.pcapng"
        with tracing(TraceSettings(pcap=path)) as traced:
            tap = traced.tap(LinkName.N2, LinkName.EAP, LinkName.N3)
            if tap is None:
                raise SystemExit("no tap")

            def control(octets: bytes) -> None:
                for _ in range(MESSAGES):
                    tap.message(LinkName.N2, CP, RAN, inbound=True, stream=1, ppid=Ppid.N2, octets=octets)

            def user(octets: bytes) -> None:
                for _ in range(MESSAGES):
                    tap.datagram(LinkName.N3, CP, RAN, inbound=True, octets=octets)

            for name, octets in CASES.items():
                figures[f"record_{name}"] = micros(lambda octets=octets: control(octets), MESSAGES)  # type: ignore[misc]
            figures["record_gtpu_of_1400_octets"] = micros(lambda: user(bytes(1400)), MESSAGES)
        frames = sum(1 for _ in read_capture(path))
        figures["read"] = micros(lambda: sum(1 for _ in read_capture(path)), frames)
        figures["read_and_decode"] = micros(lambda: sum(1 for _ in decode(read_capture(path))), frames)
    run = ROOT / "tests" / "traces" / "provision.pcapng"
    keys = run.with_suffix(".keys")
    frames = sum(1 for _ in read_capture(run))
    figures["verify"] = micros(lambda: check(run, read_keys(keys)), frames)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
