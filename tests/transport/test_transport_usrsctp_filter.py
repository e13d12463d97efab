"""Which packets reach libusrsctp, and that one which must not is kept from it."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest
from doubles.sctp_packets import COOKIE_ECHO, HANGING, INIT, chunk, crc32c, init, packet, parameter
from hypothesis import given
from hypothesis import strategies as st

from rprov.transport.usrsctp_filter import MAX_PARAMETERS, Chunk, sane
from rprov.transport.usrsctp_library import available

needs_library = pytest.mark.skipif(not available(), reason="libusrsctp is missing: apt-get install libusrsctp2")
PROGRAM = Path(__file__).parents[1] / "doubles" / "usrsctp_hang.py"
DATA = chunk(Chunk.DATA, struct.pack(">IHHI", 1, 2, 3, 4) + b"x")
SACK = chunk(Chunk.SACK, struct.pack(">IIHH", 1, 65536, 1, 2) + bytes(12))
ADDRESSES = [parameter(5, bytes(4)), parameter(6, bytes(16)), parameter(12, bytes(4))]

GOOD = {
    "data": packet(DATA, tag=1),
    "many data": packet(DATA * 200, tag=1),
    "sack and data": packet(SACK + DATA, tag=1),
    "init": packet(init(ADDRESSES)),
    "init ack": packet(init([*ADDRESSES, parameter(7, bytes(101))], kind=Chunk.INIT_ACK), tag=1),
    "init with what nobody knows": packet(init([parameter(0xFFFF, b"abc"), parameter(0x8001)])),
    "cookie echo and data": packet(chunk(COOKIE_ECHO, bytes(101)) + DATA, tag=1),
    "cookie ack, sack and data": packet(chunk(Chunk.COOKIE_ACK) + SACK + DATA, tag=1),
    "heartbeat": packet(chunk(Chunk.HEARTBEAT, parameter(1, bytes(40))), tag=1),
    "abort without a cause": packet(chunk(Chunk.ABORT), tag=1),
    "abort with causes": packet(chunk(Chunk.ABORT, parameter(6, bytes(4)) + parameter(12, b"why")), tag=1),
    "shutdown": packet(chunk(Chunk.SHUTDOWN, bytes(4)), tag=1),
    "shutdown ack": packet(chunk(Chunk.SHUTDOWN_ACK), tag=1),
    "shutdown complete": packet(chunk(Chunk.SHUTDOWN_COMPLETE), tag=1),
    "padding": packet(DATA + chunk(Chunk.PAD, bytes(100)), tag=1),
}
BAD = {
    "nothing": b"",
    "no chunk": packet(b"", tag=1),
    "half a chunk header": packet(DATA + b"\0\0", tag=1),
    "a chunk of no octets": packet(DATA + chunk(Chunk.SACK, bytes(12), length=0), tag=1),
    "a chunk of three octets": packet(chunk(Chunk.COOKIE_ACK, length=3), tag=1),
    "a chunk beyond the packet": packet(chunk(Chunk.DATA, bytes(16), length=24), tag=1),
    "a last chunk without its padding": packet(DATA[:-1], tag=1),
    "data without data": packet(chunk(Chunk.DATA, bytes(12)), tag=1),
    "an extension we do not have": packet(DATA + chunk(0xC1, bytes(8)), tag=1),
    "an unknown chunk": packet(chunk(0x3F, bytes(8)), tag=1),
    "a sack with fewer gaps than it says": packet(chunk(Chunk.SACK, struct.pack(">IIHH", 1, 1, 4, 0)), tag=1),
    "a sack with more than it says": packet(chunk(Chunk.SACK, struct.pack(">IIHH", 1, 1, 0, 0) + bytes(4)), tag=1),
    "a short init": packet(chunk(INIT, bytes(12))),
    "an init with a verification tag": packet(init(), tag=1),
    "an init ack without one": packet(init(kind=Chunk.INIT_ACK)),
    "data without a verification tag": packet(DATA),
    "an init with company": packet(init() + DATA),
    "an init as company": packet(DATA + init(), tag=1),
    "a cookie echo as company": packet(DATA + chunk(COOKIE_ECHO, bytes(100)), tag=1),
    "a parameter of no octets": packet(HANGING),
    "a parameter of no octets after others": packet(init([*ADDRESSES, parameter(0x8000, length=0)])),
    "a parameter of three octets": packet(init([parameter(0x8000, length=3)])),
    "a parameter beyond its chunk": packet(init([parameter(7, bytes(4), length=9)])),
    "half a parameter header": packet(chunk(INIT, bytes(16) + b"\x80\0")),
    "a long address": packet(init([parameter(5, bytes(5))])),
    "a short address": packet(init([parameter(6, bytes(15))])),
    "more parameters than anybody needs": packet(init([parameter(0x8001)] * (MAX_PARAMETERS + 1))),
    "a parameter of no octets in an init ack": packet(init([parameter(7, length=0)], kind=Chunk.INIT_ACK), tag=1),
    "a heartbeat of no octets": packet(chunk(Chunk.HEARTBEAT, parameter(1, bytes(8), length=0)), tag=1),
    "an error cause beyond its chunk": packet(chunk(Chunk.ERROR, parameter(1, bytes(4), length=12)), tag=1),
}


def walks(data: bytes) -> bool:
    """Whether chunks and parameters can be walked by their lengths: the filter's promise, in other words."""
    at = 12
    while at < len(data):
        kind, length = data[at], int.from_bytes(data[at + 2 : at + 4])
        body = data[at + 4 : at + length]
        if length < 4 or len(body) != length - 4:
            return False
        skipped = {Chunk.INIT: 16, Chunk.INIT_ACK: 16, Chunk.ABORT: 0, Chunk.ERROR: 0}.get(kind, len(body))
        items = body[skipped:]
        while items:
            size = int.from_bytes(items[2:4])
            if size < 4 or size > len(items):
                return False
            items = items[size + (-size % 4) :]
        at += length + (-length % 4)
    return at == len(data)


def test_checksums_of_the_packets_here_are_right() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C in every catalogue


@pytest.mark.parametrize("name", GOOD)
def test_it_takes(name: str) -> None:
    assert sane(GOOD[name])
    assert sane(memoryview(bytearray(GOOD[name])))


@pytest.mark.parametrize("name", BAD)
def test_it_refuses(name: str) -> None:
    assert not sane(BAD[name])


@given(st.binary(max_size=200))
def test_any_octets_are_judged(data: bytes) -> None:
    assert not sane(data) or walks(data)


@given(st.sampled_from(sorted(GOOD)), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6))
def test_whatever_passes_can_be_walked(name: str, changes: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD[name])
    for at, octet in changes:
        data[at % len(data)] = octet
    assert not sane(data) or walks(bytes(data))


@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=9), st.none() | st.integers(0, 20)), max_size=8),
)
def test_parameters_that_pass_can_be_walked(items: list[tuple[int, bytes, int | None]]) -> None:
    data = packet(init([parameter(kind, value, length) for kind, value, length in items]))
    assert not sane(data) or walks(data)


@needs_library
def test_a_packet_that_hangs_the_library_does_not_reach_it() -> None:
    command = [sys.executable, str(PROGRAM)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ended.stdout == "up\nalive\n", ended.stderr
    assert "no sane SCTP" in ended.stderr


@needs_library
@pytest.mark.slow
def test_that_packet_does_hang_the_library() -> None:
    """Else the test above would prove nothing, and the filter might be needless by now."""
    with subprocess.Popen([sys.executable, str(PROGRAM), "unguarded"], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            assert program.stdout.readline() == "up\n"
            with pytest.raises(subprocess.TimeoutExpired):
                program.wait(5)
        finally:
            program.kill()
        assert program.stdout.read() == ""


@needs_library
@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_no_packet_that_passes_hurts_the_library(seed: int) -> None:
    command = [sys.executable, str(PROGRAM.with_name("usrsctp_fuzz.py")), str(seed), "40000"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-2000:]
    taken, links = map(int, ended.stdout.split())
    assert taken > 10000  # else it was the filter that was tried, not the library
    assert links > 20
