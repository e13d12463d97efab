"""BSP against published values, and its promise: nothing changed, moved, repeated or left out opens."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from doubles.known_answers import Answer, known_answers, octets
from doubles.pki import EID, seeded
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import DecodeError, MacMismatch, Misuse
from rprov.provision.sgp22.bpp import MAX_PACKAGE, Binding, SecureChannel, bind, cut, metadata_in
from rprov.provision.sgp22.bsp import (
    CIPHERED_ROOM,
    CLEAR_ROOM,
    MAX_SEGMENT,
    Bsp,
    BspKeys,
    ChainingValue,
    SEnc,
    SMac,
    derive_keys,
    shared_info,
)
from rprov.provision.sgp22.keys import BadSignature, one_time_key, point, sign, verify
from rprov.provision.sgp22.tlv import Reader, read, tlv

ANSWERS = known_answers("bsp")
DERIVATIONS = [answer for answer in ANSWERS if "shared_secret" in answer]
SEGMENTS = [answer for answer in ANSWERS if "segment" in answer]


def test_every_known_answer_is_used() -> None:
    assert len(DERIVATIONS) + len(SEGMENTS) == len(ANSWERS)


@pytest.mark.parametrize("answer", DERIVATIONS, ids=lambda answer: answer["id"])
def test_keys_as_published(answer: Answer) -> None:
    key_type, key_length = (octets(answer[name])[0] for name in ("key_type", "key_length"))
    info = shared_info(octets(answer["host_id"]), octets(answer["eid"]), key_type, key_length)
    assert info == octets(answer["shared_info"])
    keys = derive_keys(octets(answer["shared_secret"]), info)
    assert keys.chaining_value == ChainingValue(octets(answer["initial_mac_chaining_value"]))
    assert keys.enc == SEnc(octets(answer["s_enc"]))
    assert keys.mac == SMac(octets(answer["s_mac"]))


def _run(answer: Answer) -> Bsp:
    chain, enc, mac = (octets(answer[name]) for name in ("mac_chaining_value_in", "s_enc", "s_mac"))
    return Bsp(BspKeys(ChainingValue(chain), SEnc(enc), SMac(mac)), answer["data_block_counter_in"])


@pytest.mark.parametrize("answer", SEGMENTS, ids=lambda answer: answer["id"])
def test_segments_as_published_both_ways(answer: Answer) -> None:
    tag = int(answer["tag"], 16)
    sender, receiver = _run(answer), _run(answer)
    assert sender.protect(tag, octets(answer["plaintext"])) == octets(answer["segment"])
    assert receiver.unprotect(tag, read(octets(answer["segment"]), "x").value) == octets(answer["plaintext"])
    for run in (sender, receiver):
        assert run.chaining_value == ChainingValue(octets(answer["mac_chaining_value_out"]))
        assert run.counter == answer["data_block_counter_out"]


def keys() -> BspKeys:
    return BspKeys(ChainingValue(bytes(16)), SEnc(bytes(range(16))), SMac(bytes(range(16, 32))))


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=CIPHERED_ROOM)), max_size=6))
def test_a_run_opens_in_its_order(pieces: list[tuple[bool, bytes]]) -> None:
    sender, receiver = Bsp(keys()), Bsp(keys())
    for ciphered, plain in pieces:
        if ciphered:
            assert receiver.unprotect(0x86, read(sender.protect(0x86, plain), "x").value) == plain
        else:
            assert receiver.verified(0x88, read(sender.authenticate(0x88, plain), "x").value) == plain


def _three() -> list[bytes]:
    sender = Bsp(keys())
    return [read(sender.protect(0x86, bytes((number,)) * 40), "x").value for number in range(3)]


@pytest.mark.parametrize("order", [(1,), (0, 2), (0, 0), (0, 2, 1), (2, 1, 0)], ids=str)
def test_left_out_repeated_and_moved_segments_do_not_open(order: tuple[int, ...]) -> None:
    segments, receiver = _three(), Bsp(keys())

    def open_all() -> None:
        for number in order:
            receiver.unprotect(0x86, segments[number])

    with pytest.raises(MacMismatch):
        open_all()


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_changed_bit_does_not_open(plain: bytes, data: st.DataObject) -> None:
    value = bytearray(read(Bsp(keys()).protect(0x86, plain), "x").value)
    bit = data.draw(st.integers(0, 8 * len(value) - 1))
    value[bit // 8] ^= 1 << bit % 8
    with pytest.raises(MacMismatch):
        Bsp(keys()).unprotect(0x86, bytes(value))


def test_a_segment_under_another_tag_does_not_open() -> None:
    with pytest.raises(MacMismatch):
        Bsp(keys()).unprotect(0x87, _three()[0])


@pytest.mark.parametrize("value", [b"", b"1234567", b"12345678"])
def test_a_segment_too_short_for_its_mac_is_refused(value: bytes) -> None:
    with pytest.raises((MacMismatch, DecodeError)):
        Bsp(keys()).unprotect(0x86, value)


@pytest.mark.parametrize("padded", [bytes(16), b"\x81" + bytes(15), b"a" * 16, b"\x80" + bytes(31)])
def test_bad_padding_under_a_good_mac_is_refused(padded: bytes) -> None:
    class Careless(Bsp):
        """Ciphers without padding, as no honest server does."""

        def protect(self, tag: int, plain: bytes) -> bytes:
            cipher = self._cipher().encryptor()
            return self._seal(tag, cipher.update(plain) + cipher.finalize())

    value = read(Careless(keys()).protect(0x86, padded), "x").value
    with pytest.raises(DecodeError, match="padding"):
        Bsp(keys()).unprotect(0x86, value)


@given(st.binary(max_size=50))
def test_any_value_is_refused_with_one_of_two_errors(value: bytes) -> None:
    with pytest.raises((MacMismatch, DecodeError)):
        Bsp(keys()).unprotect(0x86, value)


def test_keys_do_not_print() -> None:
    assert "00010203" not in repr(keys()).replace(" ", "")
    assert "16 octets" in repr(keys())


# --- packages --------------------------------------------------------------------------------------------------------

CURVES = [ec.SECP256R1(), ec.BrainpoolP256R1()]


def make_package(profile: bytes, metadata: bytes = bytes(2000), replaced: bool = True) -> bytes:
    entropy = seeded("bpp")
    card, server = (one_time_key(ec.SECP256R1(), entropy) for _ in range(2))
    binding = Binding(b"transaction", EID.octets, point(card), b"host")
    return bind(profile, metadata, binding, server, server, keys() if replaced else None)


@pytest.mark.parametrize("size", [0, 1, 15, 16, CIPHERED_ROOM - 1, CIPHERED_ROOM, CIPHERED_ROOM + 1, 5000])
@pytest.mark.parametrize("replaced", [False, True])
def test_no_segment_is_longer_than_the_standard_allows(size: int, replaced: bool) -> None:
    package = make_package(bytes(size), replaced=replaced)
    segments = [piece for piece in cut(package) if piece[0] in (0x86, 0x87, 0x88)]
    assert all(len(segment) <= MAX_SEGMENT for segment in segments)
    assert len([segment for segment in segments if segment[0] == 0x86]) == -(-size // CIPHERED_ROOM)


def test_the_rooms_use_a_segment_fully() -> None:
    assert len(Bsp(keys()).protect(0x86, bytes(CIPHERED_ROOM))) == MAX_SEGMENT
    assert len(Bsp(keys()).authenticate(0x88, bytes(CLEAR_ROOM))) == MAX_SEGMENT


def test_the_pieces_of_a_package_are_the_package() -> None:
    package = make_package(bytes(3000))
    pieces = cut(package)
    assert b"".join(pieces) == package
    assert [piece[0] for piece in pieces] == [0xBF, 0xA0, 0xA1, 0x88, 0x88, 0xA2, 0xA3, 0x86, 0x86, 0x86]


def test_metadata_can_be_read_on_the_way() -> None:
    metadata = bytes(range(256)) * 5
    assert metadata_in(make_package(b"p", metadata)) == metadata


def test_the_secure_channel_is_signed_with_the_cards_key_behind_it() -> None:
    entropy = seeded("channel")
    card, server, signer = (one_time_key(ec.SECP256R1(), entropy) for _ in range(3))
    package = bind(b"p", b"m", Binding(b"t", EID.octets, point(card), b"host"), server, signer)
    channel = SecureChannel.decode(Reader(read(package, "x").value, "x").take(0xBF23).raw)
    verify(signer.public_key(), channel.signature, channel.signed, tlv(0x5F49, point(card)))
    with pytest.raises(BadSignature):
        verify(signer.public_key(), channel.signature, channel.signed)
    assert (channel.transaction_id, channel.host_id, channel.one_time_key) == (b"t", b"host", point(server))


def test_a_card_key_that_is_no_point_is_refused() -> None:
    server = one_time_key(ec.SECP256R1(), seeded("x"))
    for wrong in (b"\x04" + bytes(64), b"\x02" + bytes(64), point(one_time_key(ec.BrainpoolP256R1(), seeded("y")))):
        with pytest.raises(DecodeError):
            bind(b"p", b"m", Binding(b"t", EID.octets, wrong, b"host"), server, server)


def test_a_package_too_large_for_any_card_is_not_made() -> None:
    with pytest.raises(Misuse):
        make_package(bytes(MAX_PACKAGE))


@given(st.binary(max_size=200))
def test_any_octets_are_cut_or_refused(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        cut(octets)
    with pytest.raises(DecodeError):
        metadata_in(octets)


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_signatures_are_raw_and_deterministic(curve: ec.EllipticCurve) -> None:
    key = one_time_key(curve, seeded(curve.name))
    signature = sign(key, b"one", b"two")
    assert len(signature) == 64
    assert signature == sign(key, b"onetwo")
    verify(key.public_key(), signature, b"onetwo")
    for wrong in (bytes(64), signature[:-1], signature + b"\0", signature[32:] + signature[:32]):
        with pytest.raises(BadSignature):
            verify(key.public_key(), wrong, b"onetwo")
