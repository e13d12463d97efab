"""Captures of whole runs: what crossed the links is there, once, readable by others too, and no key is."""

import json
import signal
import sqlite3
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles.network import IMPATIENT
from doubles.processes import Process, write_settings

from rprov.cli.demo_files import PLMN, DemoFiles
from rprov.cli.main import run as rprov
from rprov.crypto.hierarchy import KAusf, k_amf, k_gnb, k_seaf
from rprov.model.identifiers import Supi
from rprov.model.settings import CredentialKind
from rprov.model.tracing import TraceSecrets, TraceSettings
from rprov.trace.capture import Capture, Captured
from rprov.trace.decode import Row, decode
from rprov.trace.eap_seen import eap_on_n2
from rprov.trace.keylog import Keys, read_keys
from rprov.wire.messages import ABBA


class Run:
    """A demo that was recorded."""

    def __init__(self, place: Path, *options: str) -> None:
        self.pcap, self.keylog = place / "run.pcapng", place / "run.keys"
        arguments = ["demo", "--workdir", str(place / "demo"), "--pcap", str(self.pcap), "--keylog", str(self.keylog)]
        self.code = rprov([*arguments, *options])
        capture = Capture(self.pcap)
        self.messages: list[Captured] = list(capture.messages())
        self.runs, self.key_lines = capture.runs, capture.key_lines
        self.rows: list[Row] = list(decode(self.messages))
        self.keys: Keys = read_keys(self.keylog)

    def of(self, link: str) -> list[Row]:
        return [row for row in self.rows if row.link == link]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(tmp_path_factory.mktemp("traced"), "--devices", "2")


def supis(demo: Run) -> list[str]:
    """Every subscriber of the demo, as its store has them."""
    with closing(sqlite3.connect(demo.pcap.parent / "demo" / "cp.db")) as database:
        return [supi for (supi,) in database.execute("select supi from cp_subscribers")]


def test_every_link_is_in_the_capture(demo: Run) -> None:
    assert demo.code == 0
    assert not [item.fault for item in demo.messages if item.fault]
    assert {row.link for row in demo.rows} == {"radio", "n2", "eap", "radio-user", "n3"}
    assert not [row for row in demo.rows if row.message == "Malformed"]
    names = Counter(row.message for row in demo.of("n2"))
    assert names["AttachRequest"] == 4
    assert names["InitialContextSetupRequest"] == names["SessionResourceSetupRequest"] == 4
    assert {row.step for row in demo.rows} >= {1, 2, 3, 4, 5, 7}
    assert [item.at for item in demo.messages] == sorted(item.at for item in demo.messages)
    assert len(demo.runs) == 1
    assert demo.key_lines == ()


def test_nas_before_access_security_is_the_same_on_both_links(demo: Run) -> None:
    radio, n2 = (
        sorted(json.dumps(row.fields) for row in demo.of(link) if row.message == "AuthenticationResponse")
        for link in ("radio", "n2")
    )
    assert radio == n2
    assert len(radio) == 8  # three rounds of EAP-TLS and one of AKA, twice


def test_each_eap_packet_of_n2_is_a_record_of_its_own(demo: Run) -> None:
    carried = [seen for item in demo.messages if item.link == "n2" and (seen := eap_on_n2(item.octets))]
    alone = [item for item in demo.messages if item.link == "eap"]
    assert [(item.ue, item.octets) for item in alone] == [(seen.ue, seen.packet) for seen in carried]
    assert len({item.ue for item in alone}) == 2
    assert [row.message for row in demo.of("eap")].count("EapSuccess") == 2


def test_the_same_user_packets_cross_radio_and_n3(demo: Run) -> None:
    for way in ("uplink", "downlink"):
        radio = [row.ue for row in demo.of("radio-user") if row.direction == way]
        n3 = [row.ue for row in demo.of("n3") if row.direction == way and row.message == "Gpdu"]
        assert Counter(radio) == Counter(n3)
        assert len(radio) > 20


def test_no_key_is_in_a_capture(demo: Run) -> None:
    octets = demo.pcap.read_bytes()
    secrets = [key.octets for key in demo.keys.tls.values()]
    assert len(secrets) >= 4 * 5
    assert len(demo.keys.k_ausf) == 2
    known = supis(demo)
    assert len(known) == 2
    found_keys = []
    for line in demo.keys.k_ausf:
        assert line.run == demo.runs[0]
        seaf = k_seaf(KAusf(line.key.octets), PLMN.serving_network_name)
        for supi in known:
            amf = k_amf(seaf, Supi(supi), ABBA)
            found_keys += [seaf.octets, amf.octets, k_gnb(amf, 0).octets]
    digits = "".join(f"{octet:08b}" for octet in octets)
    for secret in [*secrets, *found_keys]:
        assert f"{int.from_bytes(secret):0{8 * len(secret)}b}" not in digits
    redacted = [item for item in demo.messages if item.redacted]
    assert len(redacted) == 4
    assert all(row.message == "InitialContextSetupRequest" for row in decode(redacted))


def test_decode_shows_it_as_lines_of_json(demo: Run, capsys: Any) -> None:
    capsys.readouterr()
    assert rprov(["trace", "decode", str(demo.pcap), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [json.loads(json.dumps(row.as_json())) for row in demo.rows]


def test_decode_picks_by_device_ue_message_and_link(demo: Run, capsys: Any) -> None:
    def shown(*options: str) -> list[dict[str, Any]]:
        capsys.readouterr()
        assert rprov(["trace", "decode", str(demo.pcap), "--json", *options]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    eids = sorted({row.eid for row in demo.rows if row.eid})
    assert len(eids) == 2
    of_one = shown("--eid", eids[0])
    assert {line["ue"] for line in of_one} == {row.ue for row in demo.rows if row.eid == eids[0]}
    assert len(of_one) > 40
    (ue,) = {row.ue for row in demo.rows if row.eid == eids[1]}
    assert shown("--ue", hex(ue)) == shown("--ue", str(ue)) == shown("--eid", eids[1])
    picked = shown("--link", "n2", "--message", "attachrequest", "--message", "SecurityModeCommand")
    assert {line["message"] for line in picked} == {"AttachRequest", "SecurityModeCommand"}
    assert {line["link"] for line in picked} == {"n2"}
    assert rprov(["trace", "decode", str(demo.pcap)]) == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == len(demo.rows) + 1
    assert "AttachRequest" in " ".join(table[4:10])


@pytest.mark.slow
def test_four_processes_write_what_their_files_say(tmp_path: Path) -> None:
    files = DemoFiles(tmp_path)
    files.prepare()

    def traced(role: str, settings: Any, **more: Any) -> Path:
        trace = TraceSettings(pcap=tmp_path / f"{role}.pcapng", **more)
        return write_settings(tmp_path / f"{role}.yaml", replace(settings, trace=trace))

    with ExitStack() as stack:

        def start(role: str) -> Process:
            return stack.enter_context(Process(role, "-c", str(tmp_path / f"{role}.yaml")))

        traced("smdp", files.smdp(), keylog=tmp_path / "smdp.keys")
        smdp = start("smdp")
        traced("cp", files.cp(int(smdp.ready()["port"])), secrets=TraceSecrets.EMBED)
        cp = start("cp")
        traced("ran", files.ran(int(cp.ready()["port"])))
        ran = start("ran")
        eid = files.new_device()
        settings = replace(files.ue(eid, int(ran.ready()["port"]), CredentialKind.DEVICE), timers=IMPATIENT)
        order = ["--smdp", str(tmp_path / "smdp.yaml"), "--cp", str(tmp_path / "cp.yaml")]
        assert rprov(["order", "add", *order, "--eid", str(eid)]) == 0
        traced("ue", settings, keylog=tmp_path / "ue.keys")
        assert start("ue").end() == 0
        for process in (ran, cp, smdp):
            process.send(signal.SIGTERM)
            assert process.end() == 0
        assert "KEYS ARE WRITTEN INTO THE CAPTURE" in " ".join(cp.err.so_far)
    found = {role: Capture(tmp_path / f"{role}.pcapng") for role in ("smdp", "cp", "ran", "ue")}
    seen = {role: list(capture.messages()) for role, capture in found.items()}
    assert not [item for items in seen.values() for item in items if item.fault]
    assert {role: {str(item.link) for item in items} for role, items in seen.items()} == {
        "smdp": {"es9"},
        "cp": {"n2", "eap", "n3"},
        "ran": {"radio", "n2", "eap", "radio-user", "n3"},
        "ue": {"radio", "eap", "radio-user"},
    }
    # What one has received, the other has sent; the RAN's record of N2 lacks the keys.
    for link, lower, upper in (
        ("radio", "ue", "ran"),
        ("n2", "ran", "cp"),
        ("n3", "ran", "cp"),
        ("radio-user", "ue", "ran"),
    ):
        for one, other in ((lower, upper), (upper, lower)):
            received = [item.octets for item in seen[one] if item.link == link and item.inbound and not item.redacted]
            sent = [item.octets for item in seen[other] if item.link == link and not item.inbound]
            assert received
            assert Counter(received) <= Counter(sent)
    assert [item.octets for item in seen["ue"] if item.link == "eap"] == [
        item.octets for item in seen["cp"] if item.link == "eap"
    ]
    assert [sum(item.redacted for item in seen[role]) for role in ("cp", "ran")] == [0, 2]
    labels = {line.split()[0] for line in found["cp"].key_lines}
    assert labels >= {"EXPORTER_SECRET", "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "RPROV_KAUSF"}
    ours, theirs = read_keys(tmp_path / "ue.keys"), Keys()
    theirs.add(found["cp"].key_lines)
    assert [line.key for line in ours.k_ausf] == [line.key for line in theirs.k_ausf]
    exporters = {key: value for key, value in ours.tls.items() if key[0] == "EXPORTER_SECRET"}
    assert exporters.items() <= (theirs.tls | read_keys(tmp_path / "smdp.keys").tls).items()
