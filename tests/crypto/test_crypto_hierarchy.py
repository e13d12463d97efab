import hmac
import inspect
from collections.abc import Callable

import pytest
from doubles.known_answers import Answer, each, known_answers, octets

from rprov.crypto import hierarchy as h
from rprov.crypto.kdf import kdf
from rprov.errors import Misuse
from rprov.model.identifiers import Supi
from rprov.model.secret import Secret
from rprov.model.security import Nea, Nia


def _number(answer: Answer, name: str) -> int:
    return int(answer[name], 16)


def _ck_ik(answer: Answer) -> tuple[bytes, bytes]:
    key = octets(answer["key"])
    return key[:16], key[16:]


def _name(answer: Answer) -> str:
    return octets(answer["p0"]).decode()


def _algorithm_key(answer: Answer) -> Secret:
    key, identity = octets(answer["key"]), _number(answer, "p1")
    match answer["p0"]:
        case "01":
            return h.k_nas_enc(h.KAmf(key), Nea(identity))
        case "02":
            return h.k_nas_int(h.KAmf(key), Nia(identity))
        case "03":
            return h.k_rrc_enc(h.KGnb(key), Nea(identity))
        case "04":
            return h.k_rrc_int(h.KGnb(key), Nia(identity))
        case "05":
            return h.k_up_enc(h.KGnb(key), Nea(identity))
        case "06":
            return h.k_up_int(h.KGnb(key), Nia(identity))
    raise AssertionError(answer["p0"])


def _derived(answer: Answer) -> bytes:
    """What the function that the vector is about makes of its inputs."""
    key = octets(answer.get("key", ""))
    match answer["id"].split("-")[:2]:
        case ["a2", _]:
            return h.k_ausf_5g_aka(*_ck_ik(answer), _name(answer), octets(answer["p1"])).octets
        case ["a4", _]:
            return h.res_star(*_ck_ik(answer), _name(answer), octets(answer["p1"]), octets(answer["p2"]))
        case ["a5", _]:
            return h.hres_star(octets(answer["p0"]), octets(answer["p1"]))
        case ["a6", _]:
            return h.k_seaf(h.KAusf(key), _name(answer)).octets
        case ["a7", _]:
            return h.k_amf(h.KSeaf(key), Supi(_name(answer)), octets(answer["p1"])).octets
        case ["a8", _]:
            return _algorithm_key(answer).octets
        case ["a9", _]:
            return h.k_gnb(h.KAmf(key), _number(answer, "p0"), h.Access(_number(answer, "p1"))).octets
        case ["a10", _]:
            return h.nh(h.KAmf(key), h.Nh(octets(answer["p0"]))).octets
        case ["a11", _]:
            return h.k_ng_ran_star(h.KGnb(key), _number(answer, "p0"), _number(answer, "p1")).octets
        case ["a13", _]:
            return h.k_amf_prime(h.KAmf(key), h.KeyChange(_number(answer, "p0")), _number(answer, "p1")).octets
    raise AssertionError(f"no function for {answer['id']}")


@each("kdf_33501")
def test_each_step_gives_the_known_key(answer: Answer) -> None:
    assert _derived(answer).hex() == answer.get("key_128", answer["output"])


@each("kdf_33501")
def test_kdf_gives_the_whole_output(answer: Answer) -> None:
    if "kdf_full_output" not in answer:
        assert answer["id"].startswith("a5-")  # HRES* is a plain hash, not made by the KDF
        return
    parameters = [octets(answer[name]) for name in ("p0", "p1", "p2") if name in answer]
    assert kdf(octets(answer["key"]), _number(answer, "fc"), *parameters).hex() == answer["kdf_full_output"]


@each("chain_5g_aka")
def test_the_chain_of_5g_aka(answer: Answer) -> None:
    # k, opc, sqn, autn and ak of these chains are tested with MILENAGE and with 5G AKA
    ck, ik, name = octets(answer["ck"]), octets(answer["ik"]), answer["serving_network_name"]
    sqn_xor_ak = octets(answer["autn"])[:6]
    proof = h.res_star(ck, ik, name, octets(answer["rand"]), octets(answer["res"]))
    assert proof.hex() == answer["res_star"]
    assert h.hres_star(octets(answer["rand"]), proof).hex() == answer["hres_star"]
    k_ausf = h.k_ausf_5g_aka(ck, ik, name, sqn_xor_ak)
    assert k_ausf.octets.hex() == answer["k_ausf"]
    k_seaf = h.k_seaf(k_ausf, name)
    assert k_seaf.octets.hex() == answer["k_seaf"]
    k_amf = h.k_amf(k_seaf, Supi(answer["imsi"]), octets(answer["abba"]))
    assert k_amf.octets.hex() == answer["k_amf"]
    nea, nia = Nea(answer["algorithm_identity"]), Nia(answer["algorithm_identity"])
    assert h.k_nas_enc(k_amf, nea).octets.hex() == answer["k_nas_enc"]
    assert h.k_nas_int(k_amf, nia).octets.hex() == answer["k_nas_int"]
    k_gnb = h.k_gnb(k_amf, int(answer["uplink_nas_count"], 16))
    assert k_gnb.octets.hex() == answer["k_gnb"]
    assert h.nh(k_amf, k_gnb).octets.hex() == answer["nh_1"]
    assert h.k_rrc_enc(k_gnb, nea).octets.hex() == answer["k_rrc_enc"]
    assert h.k_rrc_int(k_gnb, nia).octets.hex() == answer["k_rrc_int"]
    assert h.k_up_enc(k_gnb, nea).octets.hex() == answer["k_up_enc"]
    assert h.k_up_int(k_gnb, nia).octets.hex() == answer["k_up_int"]


@each("eap_aka_prime")
def test_ck_prime_and_ik_prime(answer: Answer) -> None:
    # only the steps of this hierarchy: MK, K_encr, K_aut and K_re are of the EAP method
    sqn_xor_ak = octets(answer["autn"])[:6]
    ck_prime, ik_prime = h.ck_prime_ik_prime(
        octets(answer["ck"]), octets(answer["ik"]), answer["network_name"], sqn_xor_ak
    )
    assert ck_prime.hex() == answer["ck_prime"]
    assert ik_prime.hex() == answer["ik_prime"]
    assert h.k_ausf_from_emsk(h.Emsk(octets(answer["emsk"]))).octets.hex() == answer["k_ausf"]


KEY = bytes(range(32))
WRITTEN_BY_HAND: tuple[tuple[str, Callable[[], Secret]], ...] = (
    # steps for which nobody published a value: S written out octet by octet from the tables of Annex A
    ("71 01f4 0002 00189c 0003", lambda: h.k_ng_ran_star_ng_enb(h.Nh(KEY), 500, 6300)),
    ("73 0000000a 0004", lambda: h.k_asme_prime(h.KAmf(KEY), 10)),
    ("75 0000000b 0004", lambda: h.k_amf_prime_from_eps(h.KAsme(KEY), 11)),
    ("79 0003 0002", lambda: h.k_sn(h.KGnb(KEY), 3)),
    ("84 01 0001", lambda: h.k_trusted_access(h.KGnb(KEY), h.TrustedAccessKey.TIPSEC)),
    ("84 02 0001", lambda: h.k_trusted_access(h.KGnb(KEY), h.TrustedAccessKey.TNAP)),
    ("84 03 0001", lambda: h.k_trusted_access(h.KGnb(KEY), h.TrustedAccessKey.FT)),
)


@pytest.mark.parametrize(("s", "derive"), WRITTEN_BY_HAND, ids=[s for s, _ in WRITTEN_BY_HAND])
def test_steps_without_published_values(s: str, derive: Callable[[], Secret]) -> None:
    assert derive().octets == hmac.digest(KEY, octets(s), "sha256")


def test_an_external_aaa_gives_its_msk() -> None:
    assert h.k_ausf_from_msk(h.Msk(bytes(range(64)))).octets == KEY


def test_the_nai_of_a_provisioning_attach_is_bound_whole() -> None:
    supi = Supi("89049032000000000000000000000021@rsp.mnc001.mcc001.3gppnetwork.org")
    assert h.k_amf(h.KSeaf(KEY), supi, b"\0\0").octets == kdf(KEY, 0x6D, supi.text.encode(), b"\0\0")


def test_every_abba_and_every_network_gives_other_keys() -> None:
    supi = Supi("001010123456789")
    assert h.k_amf(h.KSeaf(KEY), supi, b"\0\0") != h.k_amf(h.KSeaf(KEY), supi, b"\0\1")
    assert h.k_seaf(h.KAusf(KEY), "5G:a") != h.k_seaf(h.KAusf(KEY), "5G:b")


@pytest.mark.parametrize(
    "derive",
    [
        lambda: h.k_ausf_from_emsk(h.Emsk(bytes(63))),
        lambda: h.k_ausf_from_msk(h.Msk(bytes(65))),
        lambda: h.k_ausf_5g_aka(bytes(15), bytes(16), "5G:a", bytes(6)),
        lambda: h.k_ausf_5g_aka(bytes(16), bytes(17), "5G:a", bytes(6)),
        lambda: h.ck_prime_ik_prime(bytes(16), bytes(16), "5G:a", bytes(5)),
        lambda: h.res_star(bytes(16), bytes(16), "5G:a", bytes(15), bytes(8)),
        lambda: h.res_star(bytes(16), bytes(16), "5G:a", bytes(16), bytes(3)),
        lambda: h.hres_star(bytes(16), bytes(15)),
        lambda: h.k_gnb(h.KAmf(KEY), -1),
        lambda: h.k_gnb(h.KAmf(KEY), 1 << 32),
        lambda: h.k_ng_ran_star(h.KGnb(KEY), 1 << 16, 0),
        lambda: h.k_ng_ran_star(h.KGnb(KEY), 0, 1 << 24),
        lambda: h.k_sn(h.KGnb(KEY), 1 << 16),
    ],
)
def test_inputs_of_another_size_are_refused(derive: Callable[[], object]) -> None:
    with pytest.raises(Misuse):
        derive()


def test_no_key_prints_itself() -> None:
    kinds = [kind for _, kind in inspect.getmembers(h, inspect.isclass) if issubclass(kind, Secret)]
    assert len(kinds) == 16
    for kind in kinds:
        assert KEY.hex()[:8] not in repr(kind(KEY)) + str(kind(KEY))


def test_no_published_key_is_left_out() -> None:
    assert {answer["id"].split("-")[0] for answer in known_answers("kdf_33501")} == {
        "a2",
        "a4",
        "a5",
        "a6",
        "a7",
        "a8",
        "a9",
        "a10",
        "a11",
        "a13",
    }
