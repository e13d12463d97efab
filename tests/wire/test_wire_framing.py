import pytest
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import DecodeError, EncodeError
from rprov.model.numbers import Ppid
from rprov.wire.framing import HEADER_SIZE, MAX_PAYLOAD, Frame, FrameReader, encode_frame

frames = st.builds(Frame, st.integers(0, 0xFFFF), st.sampled_from([int(p) for p in Ppid]), st.binary(min_size=1))


def test_the_octets_of_a_frame():
    octets = encode_frame(1, Ppid.N2, b"hello")
    assert octets.hex() == "00000005" + "0001" + "72700002" + b"hello".hex()
    assert HEADER_SIZE == 10
    assert FrameReader().feed(octets) == [Frame(1, Ppid.N2, b"hello")]


@given(st.lists(frames, max_size=6), st.data())
def test_frames_come_back_however_the_stream_is_cut(sent, data):
    stream = b"".join(encode_frame(frame.stream, frame.ppid, frame.payload) for frame in sent)
    reader, found, offset = FrameReader(), [], 0
    while offset < len(stream):
        size = data.draw(st.integers(1, len(stream) - offset))
        found += reader.feed(stream[offset : offset + size])
        offset += size
    assert found == sent
    assert not reader.within_frame


def test_octet_by_octet():
    reader = FrameReader()
    octets = encode_frame(65535, 0xFFFFFFFF, b"\x00")
    for octet in octets[:-1]:
        assert reader.feed(bytes((octet,))) == []
        assert reader.within_frame
    assert reader.feed(octets[-1:]) == [Frame(65535, 0xFFFFFFFF, b"\x00")]
    assert not reader.within_frame
    assert reader.feed(b"") == []


def test_the_longest_payload():
    payload = bytes(MAX_PAYLOAD)
    assert FrameReader().feed(encode_frame(0, Ppid.RADIO, payload)) == [Frame(0, Ppid.RADIO, payload)]


@pytest.mark.parametrize("length", [0, 65536, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_length_out_of_bounds_is_refused_with_its_header(length):
    header = length.to_bytes(4) + bytes(6)
    reader = FrameReader()
    assert reader.feed(header[:-1]) == []
    with pytest.raises(DecodeError, match=f"1 to 65535 octets of payload, not {length}"):
        reader.feed(header[-1:])


def test_a_limit_of_ones_own():
    assert len(FrameReader(limit=5).feed(encode_frame(0, 1, b"12345"))) == 1
    with pytest.raises(DecodeError, match="1 to 5 octets"):
        FrameReader(limit=5).feed(encode_frame(0, 1, b"123456")[:HEADER_SIZE])


def test_after_a_bad_length_nothing_is_read_and_nothing_is_kept():
    reader = FrameReader()
    good = encode_frame(0, 1, b"good")
    with pytest.raises(DecodeError):
        reader.feed(good + bytes(10) + good)
    for _ in range(3):
        with pytest.raises(DecodeError, match="not 0"):
            reader.feed(good)
    assert not reader.within_frame


@pytest.mark.parametrize(
    ("stream", "ppid", "payload"),
    [(0, 1, b""), (0, 1, bytes(65536)), (-1, 1, b"x"), (65536, 1, b"x"), (0, -1, b"x"), (0, 1 << 32, b"x")],
)
def test_what_does_not_fit_a_frame_is_not_sent(stream, ppid, payload):
    with pytest.raises(EncodeError):
        encode_frame(stream, ppid, payload)


@given(st.binary(max_size=200))
def test_any_octets_give_frames_or_a_decode_error(octets):
    reader = FrameReader(limit=100)
    try:
        found = reader.feed(octets)
    except DecodeError:
        return
    assert (
        b"".join(encode_frame(frame.stream, frame.ppid, frame.payload) for frame in found)
        == octets[: sum(HEADER_SIZE + len(frame.payload) for frame in found)]
    )
