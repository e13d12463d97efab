import hashlib

import pytest
from doubles.known_answers import Answer, each, octets

from rprov.crypto.tuak import Tuak, TuakSizes, keccak_f1600, topc
from rprov.errors import Misuse
from rprov.model.secret import Secret


@each("tuak")
def test_tuak(answer: Answer) -> None:
    if "state_in" in answer:
        assert keccak_f1600(octets(answer["state_in"])).hex() == answer["state_out"]
        return
    k, iterations = Secret.parse(answer["k"]), answer["keccak_iterations"]
    derived = topc(k, Secret.parse(answer["top"]), iterations)
    assert derived.octets.hex() == answer["topc"]
    rand = octets(answer["rand"])
    if "mac_bits" in answer:
        functions = Tuak(k, derived, TuakSizes(mac=answer["mac_bits"] // 8, iterations=iterations))
        sqn, amf = octets(answer["sqn"]), octets(answer["amf"])
        assert functions.f1(rand, sqn, amf).hex() == answer["f1_mac_a"]
        assert functions.f1_star(rand, sqn, amf).hex() == answer["f1star_mac_s"]
        return
    sizes = [answer[name] // 8 for name in ("res_bits", "ck_bits", "ik_bits")]
    functions = Tuak(k, derived, TuakSizes(8, *sizes, iterations))
    keys = functions.f2345(rand)
    assert keys.res.hex() == answer["f2_res"]
    assert keys.ck.hex() == answer["f3_ck"]
    assert keys.ik.hex() == answer["f4_ik"]
    assert keys.ak.hex() == answer["f5_ak"]
    assert functions.f5_star(rand).hex() == answer["f5star_ak"]


@pytest.mark.parametrize("data", [b"", b"abc", bytes(range(135))])
def test_the_permutation_carries_the_sha3_of_the_library(data: bytes) -> None:
    padded = bytearray((data + b"\x06").ljust(136, b"\0"))
    padded[135] |= 0x80
    assert keccak_f1600(bytes(padded) + bytes(64))[:32] == hashlib.sha3_256(data).digest()


def test_sizes_that_the_standard_does_not_have_are_refused() -> None:
    for sizes in ({"mac": 4}, {"res": 5}, {"ck": 8}, {"ik": 24}, {"iterations": 0}):
        with pytest.raises(Misuse):
            TuakSizes(**sizes)
    with pytest.raises(Misuse):
        topc(Secret(bytes(15)), Secret(bytes(32)))
    with pytest.raises(Misuse):
        Tuak(Secret(bytes(16)), Secret(bytes(31))).f5_star(bytes(16))
    with pytest.raises(Misuse):
        Tuak(Secret(bytes(16)), Secret(bytes(32))).f5_star(bytes(15))
    with pytest.raises(Misuse):
        keccak_f1600(bytes(199))
