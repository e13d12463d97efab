import pytest
from doubles.known_answers import Answer, each, octets
from hypothesis import given
from hypothesis import strategies as st

from rprov.auth.aka import AkaVector
from rprov.auth.usim import (
    ARRAY_SIZE,
    DELTA,
    AkaMacFailure,
    AkaSuccess,
    AkaSynchFailure,
    Usim,
    next_sqn,
    sqn_of_auts,
)
from rprov.causes import Cause
from rprov.crypto.milenage import Milenage
from rprov.crypto.tuak import Tuak
from rprov.errors import Misuse, Refused
from rprov.model.secret import Secret

K, OPC = Secret(bytes(range(16))), Secret(bytes(range(16, 32)))
RAND = bytes(range(32, 48))
FUNCTIONS = Milenage(K, OPC)
NETWORK = "5G:mnc001.mcc001.3gppnetwork.org"


def _autn(sqn: int, rand: bytes = RAND) -> bytes:
    return AkaVector.make_with(FUNCTIONS, sqn, b"\x80\0", NETWORK, rand).autn


def _sqn(seq: int, ind: int) -> int:
    return seq << 5 | ind


@each("chain_5g_aka")
def test_the_usim_answers_known_challenges(answer: Answer) -> None:
    # the SEQ of the published sets leaps further than a fresh USIM allows: it has seen the SQN just before
    array = ((int(answer["sqn"], 16) >> 5) - 1,) * ARRAY_SIZE
    usim = Usim(Secret.parse(answer["k"]), Secret.parse(answer["opc"]), array)
    result = usim.authenticate(octets(answer["rand"]), octets(answer["autn"]))
    assert isinstance(result, AkaSuccess)
    assert [result.res.hex(), result.ck.hex(), result.ik.hex()] == [answer["res"], answer["ck"], answer["ik"]]
    assert result.sqn_xor_ak == octets(answer["autn"])[:6]
    assert usim.sqn_ms == int(answer["sqn"], 16)


@each("auts")
def test_the_usim_makes_known_auts(answer: Answer) -> None:
    k, opc, sqn_ms = Secret.parse(answer["k"]), Secret.parse(answer["opc"]), int(answer["sqn_ms"], 16)
    array = [0] * ARRAY_SIZE
    array[sqn_ms % ARRAY_SIZE] = sqn_ms >> 5
    rand = octets(answer["rand"])
    replayed = AkaVector.make_with(Milenage(k, opc), sqn_ms, b"\x80\0", NETWORK, rand).autn
    assert Usim(k, opc, tuple(array)).authenticate(rand, replayed) == AkaSynchFailure(octets(answer["auts"]))


@given(bit=st.integers(0, 255))
def test_any_bit_flipped_in_rand_or_autn_is_a_mac_failure(bit: int) -> None:
    usim = Usim(K, OPC)
    challenge = int.from_bytes(RAND + _autn(_sqn(1, 1))) ^ 1 << bit
    changed = challenge.to_bytes(32)
    assert usim.authenticate(changed[:16], changed[16:]) == AkaMacFailure()
    assert usim.sqn_array == (0,) * ARRAY_SIZE
    assert isinstance(usim.authenticate(RAND, _autn(_sqn(1, 1))), AkaSuccess)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, ARRAY_SIZE - 1)), max_size=30))
def test_each_index_goes_up_only(challenges: list[tuple[int, int]]) -> None:
    usim = Usim(K, OPC)
    highest = [0] * ARRAY_SIZE
    for seq, ind in challenges:
        result = usim.authenticate(RAND, _autn(_sqn(seq, ind)))
        if seq > highest[ind]:
            assert isinstance(result, AkaSuccess)
            highest[ind] = seq
        else:
            assert isinstance(result, AkaSynchFailure)
            assert sqn_of_auts(FUNCTIONS, RAND, result.auts) == usim.sqn_ms
        assert usim.sqn_array == tuple(highest)


def test_seq_leaps_by_delta_at_most() -> None:
    usim = Usim(K, OPC)
    assert isinstance(usim.authenticate(RAND, _autn(_sqn(DELTA + 1, 0))), AkaSynchFailure)
    assert isinstance(usim.authenticate(RAND, _autn(_sqn(DELTA, 0))), AkaSuccess)
    assert isinstance(usim.authenticate(RAND, _autn(_sqn(2 * DELTA, 9))), AkaSuccess)


@given(seq=st.integers(0, DELTA), ind=st.integers(0, ARRAY_SIZE - 1), steps=st.integers(1, 70))
def test_the_network_counts_as_the_usim_expects(seq: int, ind: int, steps: int) -> None:
    sqn, usim = _sqn(seq, ind), Usim(K, OPC)
    for step in range(1, steps + 1):
        sqn = next_sqn(sqn)
        assert (sqn >> 5, sqn % ARRAY_SIZE) == (seq + step, (ind + step) % ARRAY_SIZE)
    if seq + steps <= DELTA:
        assert isinstance(usim.authenticate(RAND, _autn(sqn)), AkaSuccess)


@given(array=st.lists(st.integers(0, 1000), min_size=ARRAY_SIZE, max_size=ARRAY_SIZE))
def test_after_resynchronisation_the_next_sqn_is_accepted_whatever_the_array(array: list[int]) -> None:
    usim = Usim(K, OPC, tuple(array))
    result = usim.authenticate(RAND, _autn(0))
    assert isinstance(result, AkaSynchFailure)
    sqn_ms = sqn_of_auts(FUNCTIONS, RAND, result.auts)
    assert sqn_ms == usim.sqn_ms
    assert isinstance(usim.authenticate(RAND, _autn(next_sqn(sqn_ms))), AkaSuccess)


@given(bit=st.integers(0, 14 * 8 - 1))
def test_a_changed_auts_is_refused(bit: int) -> None:
    result = Usim(K, OPC).authenticate(RAND, _autn(0))
    assert isinstance(result, AkaSynchFailure)
    changed = (int.from_bytes(result.auts) ^ 1 << bit).to_bytes(14)
    with pytest.raises(Refused) as caught:
        sqn_of_auts(FUNCTIONS, RAND, changed)
    assert caught.value.cause is Cause.MAC_FAILURE


def test_auts_belongs_to_its_rand_and_has_14_octets() -> None:
    result = Usim(K, OPC).authenticate(RAND, _autn(0))
    assert isinstance(result, AkaSynchFailure)
    for rand, auts in ((bytes(16), result.auts), (RAND, result.auts[:13]), (RAND, b"")):
        with pytest.raises(Refused):
            sqn_of_auts(FUNCTIONS, rand, auts)


def test_the_sequence_numbers_end() -> None:
    with pytest.raises(Refused) as caught:
        next_sqn((1 << 48) - 1)
    assert caught.value.cause is Cause.SEQUENCE_OUT_OF_RANGE
    for sqn in (-1, 1 << 48):
        with pytest.raises(Misuse):
            next_sqn(sqn)


def test_the_array_is_a_value_that_a_new_usim_goes_on_from() -> None:
    usim = Usim(K, OPC)
    usim.authenticate(RAND, _autn(_sqn(5, 3)))
    kept = usim.sqn_array
    assert isinstance(Usim(K, OPC, kept).authenticate(RAND, _autn(_sqn(5, 3))), AkaSynchFailure)
    assert isinstance(Usim(K, OPC, kept).authenticate(RAND, _autn(_sqn(6, 3))), AkaSuccess)


def test_other_functions_can_stand_in() -> None:
    functions = Tuak(Secret(bytes(32)), Secret(bytes(range(32))))
    vector = AkaVector.make_with(functions, _sqn(1, 1), b"\x80\0", NETWORK, RAND)
    assert isinstance(Usim(K, OPC, functions=functions).authenticate(RAND, vector.autn), AkaSuccess)
    assert Usim(K, OPC).authenticate(RAND, vector.autn) == AkaMacFailure()


def test_mistaken_callers() -> None:
    for array in ((), (0,) * 31, (0,) * 31 + (-1,), (0,) * 31 + (1 << 43,)):
        with pytest.raises(Misuse):
            Usim(K, OPC, array)
    with pytest.raises(Misuse):
        Usim(K, OPC).authenticate(RAND, bytes(15))


# --- age limit (TS 33.102 C.2.2) --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("behind", "accepted"), [(0, True), (9, True), (10, False), (11, False)])
def test_a_challenge_is_too_old_from_the_age_limit_on(behind: int, accepted: bool) -> None:
    usim = Usim(K, OPC, age_limit=10)
    assert isinstance(usim.authenticate(RAND, _autn(_sqn(1000, 1))), AkaSuccess)
    result = usim.authenticate(RAND, _autn(_sqn(1000 - behind, 2)))
    assert isinstance(result, AkaSuccess if accepted else AkaSynchFailure)
    assert usim.sqn_ms == _sqn(1000, 1)


def test_without_an_age_limit_any_unused_number_of_its_slot_does() -> None:
    usim = Usim(K, OPC)
    usim.authenticate(RAND, _autn(_sqn(1000, 1)))
    assert isinstance(usim.authenticate(RAND, _autn(_sqn(1, 2))), AkaSuccess)


def test_auts_of_a_challenge_that_is_too_old_leads_back() -> None:
    usim = Usim(K, OPC, age_limit=10)
    usim.authenticate(RAND, _autn(_sqn(1000, 1)))
    result = usim.authenticate(RAND, _autn(_sqn(500, 2)))
    assert isinstance(result, AkaSynchFailure)
    following = next_sqn(sqn_of_auts(FUNCTIONS, RAND, result.auts))
    assert isinstance(usim.authenticate(RAND, _autn(following)), AkaSuccess)


def test_an_age_limit_that_nothing_meets_is_misuse() -> None:
    with pytest.raises(Misuse, match="at least 1"):
        Usim(K, OPC, age_limit=0)
