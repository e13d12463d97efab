from collections.abc import Callable
from struct import pack

import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from doubles.known_answers import Answer, each, octets
from hypothesis import given, settings
from hypothesis import strategies as st

from rprov.crypto import snow3g, zuc
from rprov.crypto.bits import leading, xor
from rprov.crypto.hierarchy import KNasEnc, KNasInt, KUpEnc
from rprov.crypto.nas_algorithms import Nia2, cipher, integrity
from rprov.errors import Misuse
from rprov.model.security import Nea, Nia


def _parameters(answer: Answer) -> tuple[int, int, int]:
    return int(answer["count"], 16), int(answer["bearer"], 16), answer["direction"]


def _check_nea(answer: Answer, algorithm: Nea) -> None:
    if answer["algorithm"] == "NEA0":
        algorithm = Nea.NEA0
    engine = cipher(algorithm, KNasEnc(octets(answer["key"])))
    plain, ciphered, bits = octets(answer["plaintext"]), octets(answer["ciphertext"]), answer["length_bits"]
    assert engine.apply(*_parameters(answer), plain, bits) == ciphered
    assert engine.apply(*_parameters(answer), ciphered, bits) == leading(plain, bits)
    whole = bits // 8  # whole octets are the same without a length in bits
    assert engine.apply(*_parameters(answer), plain[:whole]) == ciphered[:whole]


def _check_nia(answer: Answer, algorithm: Nia) -> None:
    engine = integrity(algorithm, KNasInt(octets(answer["key"])))
    message, bits = octets(answer["message"]), answer["length_bits"]
    assert engine.mac(*_parameters(answer), message, bits).hex() == answer["mac"]
    assert engine.mac(*_parameters(answer), message + b"rest", bits).hex() == answer["mac"]
    if answer["byte_aligned"]:
        assert engine.mac(*_parameters(answer), message).hex() == answer["mac"]


@each("nea1")
def test_128_nea1(answer: Answer) -> None:
    _check_nea(answer, Nea.NEA1)


@each("nea2")
def test_128_nea2(answer: Answer) -> None:
    _check_nea(answer, Nea.NEA2)


@each("nea3")
def test_128_nea3(answer: Answer) -> None:
    _check_nea(answer, Nea.NEA3)


@each("nia1")
def test_128_nia1(answer: Answer) -> None:
    _check_nia(answer, Nia.NIA1)


@each("nia2")
def test_128_nia2(answer: Answer) -> None:
    _check_nia(answer, Nia.NIA2)


@each("nia3")
def test_128_nia3(answer: Answer) -> None:
    _check_nia(answer, Nia.NIA3)


@each("uia2_f9")
def test_uia2_with_a_fresh_of_its_own(answer: Answer) -> None:
    mac = snow3g.f9(
        octets(answer["key"]),
        int(answer["count"], 16),
        int(answer["fresh"], 16),
        answer["direction"],
        octets(answer["message"]),
        answer["length_bits"],
    )
    assert mac.hex() == answer["mac"]


@each("keystream")
def test_the_generators(answer: Answer) -> None:
    generate = {"SNOW 3G": snow3g.keystream, "ZUC": zuc.keystream}[answer["algorithm"]]
    expected, offset = octets(answer["keystream"]), answer["keystream_offset_octets"]
    words = generate(octets(answer["key"]), octets(answer["iv"]), (offset + len(expected) + 3) // 4)
    assert pack(f">{len(words)}I", *words)[offset : offset + len(expected)] == expected


@each("aes_cmac")
def test_the_cmac_under_nia2(answer: Answer) -> None:
    run = CMAC(AES(octets(answer["key"])))
    run.update(octets(answer["message"]))
    assert run.finalize().hex() == answer["mac"]
    if len(octets(answer["message"])) >= 8:
        # a message whose first 8 octets happen to be COUNT, BEARER and DIRECTION
        head, rest = octets(answer["message"])[:8], octets(answer["message"])[8:]
        ours = Nia2(octets(answer["key"]))._fresh.copy()
        ours.update(head + rest)
        assert ours.finalize().hex() == answer["mac"]


CIPHERS = [nea for nea in Nea if nea is not Nea.NEA0]
INTEGRITIES = [nia for nia in Nia if nia is not Nia.NIA0]
KEY = bytes(range(16))
numbers = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 31), st.integers(0, 1))


@pytest.mark.parametrize("algorithm", list(Nea))
@settings(max_examples=20)
@given(parameters=numbers, data=st.binary(max_size=80), bits=st.integers(0, 640))
def test_deciphering_is_ciphering_again(
    algorithm: Nea, parameters: tuple[int, int, int], data: bytes, bits: int
) -> None:
    engine = cipher(algorithm, KUpEnc(KEY))
    assert engine.apply(*parameters, engine.apply(*parameters, data)) == data
    bits = min(bits, len(data) * 8)
    there = engine.apply(*parameters, data, bits)
    assert there == leading(there, bits)
    assert engine.apply(*parameters, there, bits) == leading(data, bits)


@pytest.mark.parametrize("algorithm", INTEGRITIES)
@settings(max_examples=20)
@given(parameters=numbers, data=st.binary(min_size=1, max_size=80), flip=st.integers(0, 10**6))
def test_a_mac_covers_every_bit_up_to_its_length(
    algorithm: Nia, parameters: tuple[int, int, int], data: bytes, flip: int
) -> None:
    engine = integrity(algorithm, KNasInt(KEY))
    bits = flip % (len(data) * 8) + 1
    tag = engine.mac(*parameters, data, bits)
    last_covered = xor(data, (1 << (len(data) * 8 - bits)).to_bytes(len(data)))
    assert engine.mac(*parameters, last_covered, bits) != tag
    if bits < len(data) * 8:
        beyond = xor(data, (1 << (len(data) * 8 - bits - 1)).to_bytes(len(data)))
        assert engine.mac(*parameters, beyond, bits) == tag


@pytest.mark.parametrize("algorithm", INTEGRITIES)
def test_count_bearer_direction_and_key_all_matter(algorithm: Nia) -> None:
    engine = integrity(algorithm, KNasInt(KEY))
    tags = [engine.mac(*numbers, b"message") for numbers in ((1, 1, 0), (2, 1, 0), (1, 2, 0), (1, 1, 1))]
    tags.append(integrity(algorithm, KNasInt(KEY[::-1])).mac(1, 1, 0, b"message"))
    assert len(set(tags)) == 5


@pytest.mark.parametrize("algorithm", CIPHERS)
def test_a_keystream_belongs_to_one_count_bearer_and_direction(algorithm: Nea) -> None:
    engine = cipher(algorithm, KNasEnc(KEY))
    streams = [engine.apply(*numbers, bytes(16)) for numbers in ((1, 1, 0), (2, 1, 0), (1, 2, 0), (1, 1, 1))]
    assert len(set(streams)) == 4
    assert engine.apply(1, 1, 0, bytes(16)) == streams[0]


def test_null_integrity_does_not_exist() -> None:
    with pytest.raises(Misuse):
        integrity(Nia.NIA0, KNasInt(KEY))


@pytest.mark.parametrize("numbers", [(1 << 32, 0, 0), (-1, 0, 0), (0, 32, 0), (0, -1, 0), (0, 0, 2), (0, 0, -1)])
@pytest.mark.parametrize("algorithm", [1, 2, 3])
def test_numbers_out_of_range_are_refused(algorithm: int, numbers: tuple[int, int, int]) -> None:
    calls: list[Callable[..., bytes]] = [
        cipher(Nea(algorithm), KNasEnc(KEY)).apply,
        integrity(Nia(algorithm), KNasInt(KEY)).mac,
    ]
    for call in calls:
        with pytest.raises(Misuse):
            call(*numbers, b"x")


@pytest.mark.parametrize("algorithm", list(Nea))
def test_more_bits_than_there_are_is_refused(algorithm: Nea) -> None:
    for bits in (9, -1):
        with pytest.raises(Misuse):
            cipher(algorithm, KNasEnc(KEY)).apply(0, 0, 0, b"x", bits)


@pytest.mark.parametrize("size", [15, 17, 32])
def test_a_key_has_16_octets(size: int) -> None:
    with pytest.raises(Misuse):
        cipher(Nea.NEA2, KNasEnc(bytes(size)))
    with pytest.raises(Misuse):
        integrity(Nia.NIA1, KNasInt(bytes(size)))
