"""How a capture grows: files that take turns, a queue that never blocks, keys before what they open."""

import errno
import threading
from pathlib import Path

import pytest
from doubles.captures import LOWER, UPPER, taps
from doubles.logged import logged

from rprov.errors import ConfigError, EnvironmentLacks
from rprov.model.kinds import Unfit
from rprov.model.secret import Secret
from rprov.model.tap import LinkName
from rprov.model.tracing import TraceSecrets, TraceSettings
from rprov.trace import capture_file, pcapng_write
from rprov.trace.capture import Capture
from rprov.trace.capture_file import CaptureFile
from rprov.trace.keylog import KeyLog
from rprov.trace.pcapng_read import read_packets
from rprov.trace.tap import interfaces
from rprov.trace.tracing import NO_TRACING, tracing

HEAD = pcapng_write.section("test", "rprov run 0") + interfaces()


def block(number: int, size: int = 1000) -> bytes:
    return pcapng_write.packet(0, number, number.to_bytes(4) + bytes(size))


def numbers(path: Path) -> list[int]:
    return [item.at for item in read_packets(path)]


def test_files_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "run.pcapng"
    file = CaptureFile(path, HEAD, max_size=len(HEAD) + 3 * len(block(0)), keep=2)
    for number in range(10):
        file.record(block(number))
    file.close()
    assert {item.name for item in tmp_path.iterdir()} == {"run.pcapng", "run.pcapng.1", "run.pcapng.2"}
    assert [numbers(tmp_path / name) for name in ("run.pcapng.2", "run.pcapng.1", "run.pcapng")] == [
        [3, 4, 5],
        [6, 7, 8],
        [9],
    ]
    assert file.dropped == 0


def test_without_a_bound_there_is_one_file_and_nobody_else_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "run.pcapng"
    path.write_text("what was here before")
    file = CaptureFile(path, HEAD)
    for number in range(50):
        file.record(block(number))
    file.close()
    assert numbers(path) == list(range(50))
    assert list(tmp_path.iterdir()) == [path]
    fresh = tmp_path / "fresh.pcapng"
    CaptureFile(fresh, HEAD).close()
    assert fresh.stat().st_mode & 0o777 == 0o600


def test_a_full_queue_drops_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    monkeypatch.setattr(
        CaptureFile, "_write", lambda self, batch, real=CaptureFile._write: (go.wait(10), real(self, batch))
    )
    monkeypatch.setattr(capture_file, "LARGEST_QUEUE", 4 * len(block(0)))
    file = CaptureFile(tmp_path / "f", HEAD)
    for number in range(100):
        file.record(block(number))
    go.set()
    with logged() as said:
        file.close()
    kept = numbers(tmp_path / "f")
    assert 4 <= len(kept) < 100
    assert file.dropped == 100 - len(kept)
    assert f"{file.dropped} records are missing" in said[0].getMessage()


def test_a_full_disk_is_said_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = CaptureFile(tmp_path / "f", HEAD)

    def full(number: int, octets: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(file, "_put", full)
    with logged() as said:
        file.record(block(1))
        file.close()
    assert file.dropped == 1
    assert "No space left on device" in said[0].getMessage()


@pytest.mark.parametrize("settings", [{"pcap": "no/such/place"}, {"keylog": "no/such/place"}])
def test_a_file_that_cannot_be_is_the_machines_fault(tmp_path: Path, settings: dict[str, str]) -> None:
    paths = {key: tmp_path / value for key, value in settings.items()}
    with pytest.raises(EnvironmentLacks, match="no/such/place"), tracing(TraceSettings(**paths)):
        raise AssertionError("it was opened")  # pragma: no cover


def test_nothing_is_written_unless_asked() -> None:
    with tracing(TraceSettings()) as traced:
        assert traced.keys is None
        assert traced.tap(*LinkName) is None
    assert NO_TRACING.only(LinkName.N2).tap(LinkName.N2) is None


def test_a_node_records_its_own_links_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with tracing(TraceSettings(pcap=path)) as traced:
        assert traced.only().tap(LinkName.N2) is None
        tap = traced.only(LinkName.N3).tap(LinkName.N3, LinkName.AAA)
        assert tap is not None
        for link in (LinkName.N3, LinkName.AAA, LinkName.RADIO_USER):
            tap.datagram(link, UPPER, LOWER, inbound=True, octets=b"x")
        tap.message(LinkName.N2, UPPER, LOWER, inbound=True, stream=0, ppid=0, octets=b"x")
        tap.segment(LinkName.ES9, UPPER, LOWER, inbound=True, at=0, octets=b"x")
    assert [item.link for item in Capture(path).messages()] == ["n3"]


# --- keys -------------------------------------------------------------------------------------------------------------


def test_embedded_keys_stand_before_what_was_recorded_first(tmp_path: Path) -> None:
    path, keylog = tmp_path / "run.pcapng", tmp_path / "run.keys"
    keylog.write_text("OLD 00 11\n")
    settings = TraceSettings(pcap=path, keylog=keylog, secrets=TraceSecrets.EMBED)
    with logged() as said, tracing(settings) as traced:
        tap = traced.tap(LinkName.N3)
        assert tap is not None
        assert traced.keys is not None
        tap.datagram(LinkName.N3, UPPER, LOWER, inbound=True, octets=b"x")
        traced.keys.line(b"CLIENT_RANDOM 22 33")
        traced.keys.k_ausf(0x55667788, Secret(bytes(range(32))))
    octets = path.read_bytes()
    assert octets.index(b"CLIENT_RANDOM 22 33\nRPROV_KAUSF ") < octets.index(
        pcapng_write.packet(4, 0, b"")[:4], len(HEAD)
    )
    capture = Capture(path)
    assert len(list(capture.messages())) == 1
    assert capture.key_lines == (
        "CLIENT_RANDOM 22 33",
        f"RPROV_KAUSF {capture.runs[0]} 55667788 {bytes(range(32)).hex()}",
    )
    assert keylog.read_text().splitlines() == ["OLD 00 11", *capture.key_lines]
    assert keylog.stat().st_mode & 0o777 == 0o600
    assert sum("KEYS ARE WRITTEN" in line.getMessage() for line in said) == 2


def test_every_file_of_a_capture_opens_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "run.pcapng"
    keys = KeyLog(None, "0" * 16)
    passing = keys.path
    with passing.open("a") as library:  # as OpenSSL does
        library.write("# of a library\nCLIENT_RANDOM 00 11\n")
    file = CaptureFile(path, HEAD, max_size=len(HEAD) + 2 * len(block(0)), keep=3, embedded=keys)
    keys.line(b"CLIENT_RANDOM 22 33")
    for number in range(5):
        file.record(block(number))
    file.close()
    keys.close()
    assert not passing.exists()
    for name in ("run.pcapng", "run.pcapng.1"):
        capture = Capture(tmp_path / name)
        assert list(capture.packets())
        assert capture.key_lines == ("# of a library", "CLIENT_RANDOM 00 11", "CLIENT_RANDOM 22 33")


def test_embedding_is_asked_for_in_words_and_needs_a_capture(tmp_path: Path) -> None:
    with pytest.raises(Unfit, match="embed needs pcap"):
        TraceSettings(secrets=TraceSecrets.EMBED)
    with pytest.raises(ConfigError, match="another file"):
        TraceSettings(pcap=tmp_path / "f", keylog=tmp_path / "f")
    with pytest.raises(ConfigError, match="65536"):
        TraceSettings(max_size=5)


def test_taps_make_a_whole_file(tmp_path: Path) -> None:
    with taps(tmp_path / "f") as tap:
        for number in range(200):
            tap.datagram(LinkName.N3, UPPER, LOWER, inbound=bool(number % 2), octets=bytes(number))
    assert [len(item.octets) for item in Capture(tmp_path / "f").messages()] == list(range(200))
