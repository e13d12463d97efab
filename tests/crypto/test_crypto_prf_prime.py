"""The keys of EAP-AKA' against known answers; the test of CK' and IK' stands beside the rest of the hierarchy."""

import hmac

import pytest
from doubles.known_answers import Answer, each, known_answers, octets
from hypothesis import given
from hypothesis import strategies as st

from rprov.crypto.hierarchy import ck_prime_ik_prime, k_ausf_from_emsk
from rprov.crypto.prf_prime import EapAkaKeys, prf_prime
from rprov.errors import Misuse


@each("eap_aka_prime")
def test_the_keys_are_the_known_ones(answer: Answer) -> None:
    sqn_xor_ak = octets(answer["autn"])[:6]
    both = ck_prime_ik_prime(octets(answer["ck"]), octets(answer["ik"]), answer["network_name"], sqn_xor_ak)
    assert [key.hex() for key in both] == [answer["ck_prime"], answer["ik_prime"]]
    keys = EapAkaKeys.derive(*both, answer["identity"])
    for name in ("k_encr", "k_aut", "k_re", "msk", "emsk"):
        assert getattr(keys, name).octets.hex() == answer[name], name
    assert k_ausf_from_emsk(keys.emsk).octets.hex() == answer["k_ausf"]


@given(key=st.binary(max_size=80), s=st.binary(max_size=80), size=st.integers(0, 400))
def test_blocks_follow_from_each_other(key: bytes, s: bytes, size: int) -> None:
    out = prf_prime(key, s, size)
    assert len(out) == size
    assert prf_prime(key, s, 400).startswith(out)
    assert prf_prime(key, s, 32) == hmac.digest(key, s + b"\x01", "sha256")


def test_identity_and_network_are_in_every_key() -> None:
    answer = known_answers("eap_aka_prime")[2]
    ck, ik, sqn = octets(answer["ck"]), octets(answer["ik"]), octets(answer["autn"])[:6]
    keys = EapAkaKeys.derive(*ck_prime_ik_prime(ck, ik, answer["network_name"], sqn), answer["identity"])
    changed = (
        EapAkaKeys.derive(*ck_prime_ik_prime(ck, ik, "5G:mnc002.mcc001.3gppnetwork.org", sqn), answer["identity"]),
        EapAkaKeys.derive(*ck_prime_ik_prime(ck, ik, answer["network_name"], sqn), "001010123456780"),
        EapAkaKeys.derive(*ck_prime_ik_prime(ck, ik, answer["network_name"], bytes(6)), answer["identity"]),
    )
    for other in changed:
        for name in ("k_encr", "k_aut", "k_re", "msk", "emsk"):
            assert getattr(other, name) != getattr(keys, name)


def test_a_key_does_not_print() -> None:
    answer = known_answers("eap_aka_prime")[0]
    text = repr(EapAkaKeys.derive(octets(answer["ck_prime"]), octets(answer["ik_prime"]), answer["identity"]))
    for name in ("k_encr", "k_aut", "k_re", "msk", "emsk"):
        assert answer[name] not in text


@pytest.mark.parametrize("sizes", [(15, 16), (16, 17), (0, 0)])
def test_keys_of_another_size_are_our_mistake(sizes: tuple[int, int]) -> None:
    with pytest.raises(Misuse):
        EapAkaKeys.derive(bytes(sizes[0]), bytes(sizes[1]), "001010000000001")


def test_more_blocks_than_can_be_counted_are_our_mistake() -> None:
    assert len(prf_prime(b"", b"", 255 * 32)) == 255 * 32
    for size in (-1, 255 * 32 + 1):
        with pytest.raises(Misuse):
            prf_prime(b"", b"", size)
