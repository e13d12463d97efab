"""A new order agrees with itself whatever was drawn and whatever was given."""

import pytest
from doubles.known_answers import known_answers
from doubles.pki import EID, PLMN, seeded
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import ConfigError, DecodeError
from rprov.model.identifiers import Imsi, Plmn
from rprov.model.secret import Secret
from rprov.model.security import AkaAlgorithm, AkaMethod
from rprov.provision.profile import SuciKey, parse_profile
from rprov.store.ordering import Given, choose_suci_key, draw_order

PLMNS = st.sampled_from([Plmn("001", "01"), Plmn("310", "410"), Plmn("999", "70")])


@given(st.text(max_size=10), PLMNS)
def test_order_profile_and_subscriber_agree(seed: str, home: Plmn) -> None:
    new = draw_order(EID, home, seeded(seed))
    profile = parse_profile(new.package)
    assert (profile.iccid, profile.imsi, profile.home) == (new.order.iccid, new.order.imsi, home)
    assert (profile.k, profile.opc) == (new.subscriber.k, new.subscriber.opc)
    assert new.subscriber.supi == new.order.supi
    assert len(new.order.imsi.digits) == 15
    assert new.order.eid == EID
    assert new.activation_code("smdp.example.com") == f"LPA:1$smdp.example.com${new.order.matching_id}"


@pytest.mark.parametrize("algorithm", AkaAlgorithm)
@pytest.mark.parametrize("method", AkaMethod)
def test_profile_and_subscriber_compute_alike(algorithm: AkaAlgorithm, method: AkaMethod) -> None:
    new = draw_order(EID, PLMN, seeded(), Given(algorithm=algorithm, method=method))
    profile = parse_profile(new.package)
    assert profile.algorithm is new.subscriber.algorithm is algorithm
    assert new.subscriber.method is method
    assert (profile.k, profile.opc) == (new.subscriber.k, new.subscriber.opc)


def test_opc_follows_from_op_as_published() -> None:
    for answer in known_answers("milenage"):
        given = Given(k=Secret.parse(answer["k"]), op=Secret.parse(answer["op"]))
        assert draw_order(EID, PLMN, seeded(), given).subscriber.opc == Secret.parse(answer["opc"])
    topcs = 0
    for answer in known_answers("tuak"):
        if answer.get("keccak_iterations") == 1:
            given = Given(algorithm=AkaAlgorithm.TUAK, k=Secret.parse(answer["k"]), op=Secret.parse(answer["top"]))
            assert draw_order(EID, PLMN, seeded(), given).subscriber.opc == Secret.parse(answer["topc"])
            topcs += 1
    assert topcs


def test_op_and_opc_together_are_refused() -> None:
    key = Secret(bytes(16))
    with pytest.raises(ConfigError, match="one follows from the other"):
        draw_order(EID, PLMN, seeded(), Given(op=key, opc=key))


@pytest.mark.parametrize(
    "given", [Given(op=Secret(bytes(32))), Given(algorithm=AkaAlgorithm.TUAK, opc=Secret(bytes(16)))]
)
def test_keys_of_a_length_that_does_not_fit_are_refused(given: Given) -> None:
    with pytest.raises(DecodeError, match="octets"):
        draw_order(EID, PLMN, seeded(), given)


def test_two_orders_have_nothing_in_common() -> None:
    entropy = seeded()
    one, other = draw_order(EID, PLMN, entropy), draw_order(EID, PLMN, entropy)
    assert one.order.iccid != other.order.iccid
    assert one.order.imsi != other.order.imsi
    assert one.order.matching_id != other.order.matching_id
    assert one.subscriber.k != other.subscriber.k
    assert one.subscriber.opc != other.subscriber.opc


def test_an_imsi_of_another_network_is_refused() -> None:
    with pytest.raises(ConfigError, match="not of the network 001-01"):
        draw_order(EID, PLMN, seeded(), Given(imsi=Imsi("999700000000001")))


def test_keys_never_show() -> None:
    key = Secret(bytes.fromhex("465b5ce8b199b49faa5f0a2ee238a6bc"))
    new = draw_order(EID, PLMN, seeded(), Given(k=key, opc=key))
    assert key.octets in new.package
    assert "465b5ce8" not in repr(new)
    assert repr(key.octets)[2:-1] not in repr(new)


def test_new_profiles_conceal_with_the_best_key() -> None:
    assert choose_suci_key({}) is None
    keys = {(1, 9): bytes(32), (2, 1): b"\x02" + bytes(32), (2, 3): b"\x03" + bytes(32)}
    assert choose_suci_key(keys) == SuciKey(2, 3, b"\x03" + bytes(32))
