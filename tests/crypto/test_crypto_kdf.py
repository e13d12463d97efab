import hmac

import pytest
from doubles.known_answers import Answer, each, octets

from rprov.crypto.kdf import kdf
from rprov.errors import Misuse


@each("kdf_33220")
def test_the_library_gives_the_hmac_of_rfc_4231(answer: Answer) -> None:
    # these are of HMAC-SHA-256 alone: their data has not the layout of S, so they cannot pass through kdf()
    expected = octets(answer["output"])
    assert hmac.digest(octets(answer["key"]), octets(answer["data"]), "sha256")[: len(expected)] == expected


@each("kdf_33401")
def test_kdf_gives_the_keys_of_lte(answer: Answer) -> None:
    parameters = [octets(answer[name]) for name in ("p0", "p1", "p2") if name in answer]
    output = kdf(octets(answer["key"]), int(answer["fc"], 16), *parameters)
    assert output.hex() == answer["kdf_full_output"]
    assert output.hex() == answer["output"]
    assert output[16:].hex() == answer.get("key_128", output[16:].hex())


def test_s_is_fc_then_each_parameter_and_its_length() -> None:
    s = b"\x6a" + b"ab\x00\x02" + b"\x00\x00" + b"c" * 300 + b"\x01\x2c"
    assert kdf(b"key", 0x6A, b"ab", b"", b"c" * 300) == hmac.digest(b"key", s, "sha256")


@pytest.mark.parametrize("fc", [-1, 256])
def test_fc_is_one_octet(fc: int) -> None:
    with pytest.raises(Misuse):
        kdf(b"key", fc)


def test_a_parameter_has_a_length_of_two_octets() -> None:
    kdf(b"key", 0, bytes(65535))
    with pytest.raises(Misuse):
        kdf(b"key", 0, bytes(65536))
