import pytest
from doubles.known_answers import Answer, each, octets

from rprov.auth.usim import sqn_of_auts
from rprov.crypto.milenage import Milenage, opc
from rprov.errors import Misuse
from rprov.model.secret import Secret


def _milenage(answer: Answer) -> Milenage:
    return Milenage(Secret.parse(answer["k"]), Secret.parse(answer["opc"]))


@each("milenage")
def test_milenage(answer: Answer) -> None:
    assert opc(Secret.parse(answer["k"]), Secret.parse(answer["op"])).octets.hex() == answer["opc"]
    functions = _milenage(answer)
    rand, sqn, amf = octets(answer["rand"]), octets(answer["sqn"]), octets(answer["amf"])
    assert functions.f1(rand, sqn, amf).hex() == answer["f1_mac_a"]
    assert functions.f1_star(rand, sqn, amf).hex() == answer["f1star_mac_s"]
    keys = functions.f2345(rand)
    assert keys.res.hex() == answer["f2_res"]
    assert keys.ck.hex() == answer["f3_ck"]
    assert keys.ik.hex() == answer["f4_ik"]
    assert keys.ak.hex() == answer["f5_ak"]
    assert functions.f5_star(rand).hex() == answer["f5star_ak"]
    # derived_autn = SQN xor AK | AMF | MAC-A
    autn = octets(answer["derived_autn"])
    assert int.from_bytes(autn[:6]) ^ int.from_bytes(keys.ak) == int.from_bytes(sqn)
    assert autn[6:] == amf + functions.f1(rand, sqn, amf)


@each("auts")
def test_auts(answer: Answer) -> None:
    functions = _milenage(answer)
    rand, auts = octets(answer["rand"]), octets(answer["auts"])
    assert functions.f5_star(rand).hex() == answer["f5star_ak"]
    mac_s = functions.f1_star(rand, octets(answer["sqn_ms"]), octets(answer["amf_star"]))
    assert mac_s.hex() == answer["f1star_mac_s"]
    assert sqn_of_auts(functions, rand, auts) == int(answer["sqn_ms"], 16)


@each("chain_5g_aka")
def test_the_answers_behind_the_chain_of_5g_aka(answer: Answer) -> None:
    keys = _milenage(answer).f2345(octets(answer["rand"]))
    assert [keys.res.hex(), keys.ck.hex(), keys.ik.hex(), keys.ak.hex()] == [
        answer["res"],
        answer["ck"],
        answer["ik"],
        answer["ak"],
    ]


def test_inputs_of_another_size_are_refused() -> None:
    key = Secret(bytes(16))
    functions = Milenage(key, key)
    for call in (
        lambda: functions.f1(bytes(15), bytes(6), bytes(2)),
        lambda: functions.f1(bytes(16), bytes(5), bytes(2)),
        lambda: functions.f1_star(bytes(16), bytes(6), bytes(3)),
        lambda: functions.f2345(bytes(17)),
        lambda: functions.f5_star(b""),
        lambda: Milenage(Secret(bytes(32)), key),
        lambda: Milenage(key, Secret(bytes(15))),
        lambda: opc(Secret(bytes(15)), key),
        lambda: opc(key, Secret(bytes(17))),
    ):
        with pytest.raises(Misuse):
            call()


def test_the_answers_do_not_print() -> None:
    key = Secret(bytes(16))
    keys = Milenage(key, key).f2345(bytes(16))
    assert keys.ck.hex()[:8] not in repr(keys)
    assert repr(keys.ck) not in repr(keys)
