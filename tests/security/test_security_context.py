import pytest
from doubles.known_answers import Answer, each, octets
from hypothesis import given
from hypothesis import strategies as st

from rprov.causes import Cause
from rprov.crypto.bits import xor
from rprov.crypto.hierarchy import KAmf, k_nas_enc, k_nas_int
from rprov.crypto.nas_algorithms import integrity
from rprov.errors import DecodeError, MacMismatch, Misuse, Refused, Replayed
from rprov.model.security import Algorithms, Nea, Nia, Scope
from rprov.security.context import MAX_COUNT, SecurityContext, Side
from rprov.security.envelope import ProtectedPdu, SecurityHeader, parse_pdu

K_AMF = KAmf(bytes(range(32)))
AES = Algorithms(Nea.NEA2, Nia.NIA2)
PROTECTING = [header for header in SecurityHeader if header is not SecurityHeader.PLAIN]
CIPHERED = SecurityHeader.INTEGRITY_CIPHERED


def _pair(algorithms: Algorithms = AES, scope: Scope = Scope.PROVISIONING) -> tuple[SecurityContext, SecurityContext]:
    return (
        SecurityContext(Side.UE, 3, K_AMF, algorithms, scope),
        SecurityContext(Side.CP, 3, K_AMF, algorithms, scope),
    )


def _parsed(octets: bytes) -> ProtectedPdu:
    pdu = parse_pdu(octets)
    assert isinstance(pdu, ProtectedPdu)
    return pdu


@each("nas_protection")
def test_the_known_pdus(answer: Answer) -> None:
    algorithms = Algorithms(Nea(answer["nea"]), Nia(answer["nia"]))
    k_amf = KAmf(octets(answer["k_amf"]))
    assert k_nas_enc(k_amf, algorithms.nea).octets.hex() == answer["k_nas_enc"]
    assert k_nas_int(k_amf, algorithms.nia).octets.hex() == answer["k_nas_int"]
    assert answer["bearer"] == "01"
    ue = SecurityContext(Side.UE, 0, k_amf, algorithms, Scope.ORDINARY)
    cp = SecurityContext(Side.CP, 0, k_amf, algorithms, Scope.ORDINARY)
    sender, receiver = (ue, cp) if answer["direction"] == 0 else (cp, ue)
    header, plain, count = SecurityHeader(answer["security_header_type"]), octets(answer["plain_nas"]), 0
    while count < int(answer["nas_count"], 16):  # the COUNT comes about as it does in life: message by message
        receiver.unprotect(_parsed(sender.protect(b"before", CIPHERED)))
        count += 1
    sent = sender.protect(plain, header)
    # TS 24.501 puts 7E, its protocol discriminator, before the frame that is ours
    assert f"7e{sent.hex()}" == answer["protected_nas"]
    assert sent[5:].hex() == answer["mac_input"] == answer["nas_sqn"] + answer["ciphered"]
    assert sent[1:5].hex() == answer["mac"]
    verified = receiver.unprotect(_parsed(sent))
    assert (verified.plain, verified.count, verified.header) == (plain, count, header)


@pytest.mark.parametrize("nia", [Nia.NIA1, Nia.NIA2, Nia.NIA3])
@pytest.mark.parametrize("nea", [Nea.NEA1, Nea.NEA2, Nea.NEA3])
@pytest.mark.parametrize("header", PROTECTING)
def test_both_sides_understand_each_other(header: SecurityHeader, nea: Nea, nia: Nia) -> None:
    ue, cp = _pair(Algorithms(nea, nia))
    for sender, receiver in ((ue, cp), (cp, ue)):
        for number in range(3):
            message = f"message {number}".encode()
            sent = sender.protect(message, header)
            assert (message in sent) is not header.ciphered
            verified = receiver.unprotect(_parsed(sent))
            assert (verified.plain, verified.count, verified.header) == (message, number, header)
    assert ue.last_uplink_count == cp.last_uplink_count == 2
    assert ue.last_downlink_count == cp.last_downlink_count == 2


@given(message=st.binary(min_size=1, max_size=40), header=st.sampled_from(PROTECTING), data=st.data())
def test_every_flipped_bit_behind_the_header_is_found(
    message: bytes, header: SecurityHeader, data: st.DataObject
) -> None:
    ue, cp = _pair()
    sent = ue.protect(message, header)
    bit = data.draw(st.integers(0, (len(sent) - 1) * 8 - 1))
    with pytest.raises(MacMismatch):
        cp.unprotect(_parsed(xor(sent, (1 << bit).to_bytes(len(sent)))))
    assert cp.unprotect(_parsed(sent)).plain == message  # and nothing had changed


def test_the_header_itself_is_outside_the_mac() -> None:
    # TS 24.501 4.4.3.3: the MAC covers SQN and message. Changed to "not ciphered", ciphered octets come out.
    ue, cp = _pair()
    sent = ue.protect(b"a message", CIPHERED)
    assert cp.unprotect(_parsed(b"\1" + sent[1:])).plain != b"a message"


@given(st.lists(st.integers(0, 30), max_size=40))
def test_a_count_is_accepted_once_and_never_after_a_higher_one(order: list[int]) -> None:
    ue, cp = _pair()
    sent = [ue.protect(bytes((number, 1)), CIPHERED) for number in range(31)]
    highest = -1
    for number in order:
        if number > highest:
            assert cp.unprotect(_parsed(sent[number])).count == number
            highest = number
        else:
            with pytest.raises(Replayed):
                cp.unprotect(_parsed(sent[number]))


@given(lost=st.lists(st.integers(0, 255), max_size=12))
def test_counts_pass_the_sequence_number_whatever_is_lost(lost: list[int]) -> None:
    # up to 255 lost messages in a row leave the 8 bits of the SQN enough to tell the COUNT
    ue, cp = _pair()
    count = -1
    for gap in lost:
        for _ in range(gap):
            ue.protect(b"lost", SecurityHeader.INTEGRITY)
        count += gap + 1
        assert cp.unprotect(_parsed(ue.protect(b"found", CIPHERED))).count == count
    if lost:
        assert cp.last_uplink_count == ue.last_uplink_count == count


def test_after_256_lost_messages_the_count_is_lost_too() -> None:
    ue, cp = _pair()
    for _ in range(256):
        ue.protect(b"lost", CIPHERED)
    with pytest.raises(MacMismatch):
        cp.unprotect(_parsed(ue.protect(b"message 256", CIPHERED)))


def test_a_message_of_the_round_before_is_a_replay_and_garbage_is_not() -> None:
    ue, cp = _pair()
    old = [ue.protect(b"old", CIPHERED) for _ in range(300)]
    for pdu in old:
        cp.unprotect(_parsed(pdu))
    for number in (299, 298, 200, 45, 44):
        with pytest.raises(Replayed):
            cp.unprotect(_parsed(old[number]))
    with pytest.raises(MacMismatch):
        cp.unprotect(_parsed(old[43]))  # a round further back: its COUNT is not tried any more
    with pytest.raises(MacMismatch):
        cp.unprotect(_parsed(old[299][:-1] + b"?"))
    assert cp.last_uplink_count == 299


def test_what_one_side_sent_does_not_come_back_to_it() -> None:
    ue, cp = _pair()
    reflected = ue.protect(b"to the network", CIPHERED)
    with pytest.raises(MacMismatch):
        ue.unprotect(_parsed(reflected))
    assert cp.unprotect(_parsed(reflected)).plain == b"to the network"


def test_a_message_under_other_keys_is_a_mac_mismatch() -> None:
    other = SecurityContext(Side.UE, 3, KAmf(bytes(32)), AES, Scope.PROVISIONING)
    with pytest.raises(MacMismatch):
        _pair()[1].unprotect(_parsed(other.protect(b"hello", CIPHERED)))


def test_the_last_count_is_used_and_then_no_more() -> None:
    ue, cp = _pair()
    ue._sent = cp._accepted = MAX_COUNT - 2
    before_last, last = (ue.protect(b"near the end", CIPHERED) for _ in range(2))
    assert cp.unprotect(_parsed(before_last)).count == MAX_COUNT - 1
    assert cp.unprotect(_parsed(last)).count == MAX_COUNT
    with pytest.raises(Misuse, match="used up"):
        ue.protect(b"one more", CIPHERED)
    with pytest.raises(Replayed):
        cp.unprotect(_parsed(last))
    wrapped = SecurityContext(Side.UE, 3, K_AMF, AES, Scope.PROVISIONING)
    with pytest.raises(MacMismatch):
        cp.unprotect(_parsed(wrapped.protect(b"COUNT 0 again", CIPHERED)))


def test_a_count_beyond_24_bits_is_never_accepted() -> None:
    _, cp = _pair()
    cp._accepted = MAX_COUNT
    numbered = b"\0" + b"from a sender that did not stop"
    mac = integrity(AES.nia, k_nas_int(K_AMF, AES.nia)).mac(MAX_COUNT + 1, 1, 0, numbered)
    with pytest.raises(MacMismatch):
        cp.unprotect(_parsed(bytes((SecurityHeader.INTEGRITY,)) + mac + numbered))


@pytest.mark.parametrize("scope", list(Scope))
@pytest.mark.parametrize("nea", list(Nea))
def test_null_integrity_is_refused(scope: Scope, nea: Nea) -> None:
    with pytest.raises(Refused) as caught:
        SecurityContext(Side.UE, 0, K_AMF, Algorithms(nea, Nia.NIA0), scope)
    assert caught.value.cause is Cause.SECURITY_MODE_REJECTED


def test_null_ciphering_is_refused_for_provisioning_only() -> None:
    null = Algorithms(Nea.NEA0, Nia.NIA2)
    with pytest.raises(Refused):
        _pair(null, Scope.PROVISIONING)
    ue, cp = _pair(null, Scope.ORDINARY)
    sent = ue.protect(b"in clear", CIPHERED)
    assert b"in clear" in sent
    assert cp.unprotect(_parsed(sent)).plain == b"in clear"


def test_after_erase_nothing_works() -> None:
    ue, cp = _pair()
    pdu = _parsed(cp.protect(b"hello", CIPHERED))
    ue.unprotect(pdu)
    ue.erase()
    for use in (
        lambda: ue.protect(b"hello", SecurityHeader.INTEGRITY),
        lambda: ue.protect(b"hello", CIPHERED),
        lambda: ue.unprotect(pdu),
        lambda: ue.k_amf,
    ):
        with pytest.raises(Misuse, match="erased"):
            use()
    assert ue.ksi == 3
    assert not any(K_AMF.octets in repr(getattr(ue, name)).encode() for name in ue.__slots__)


def test_what_a_context_is_made_with_stays() -> None:
    ue, _ = _pair()
    assert (ue.side, ue.ksi, ue.algorithms, ue.scope, ue.k_amf) == (Side.UE, 3, AES, Scope.PROVISIONING, K_AMF)
    for name in ("side", "ksi", "algorithms", "scope", "k_amf"):
        with pytest.raises(AttributeError):
            setattr(ue, name, None)


def test_no_count_before_the_first_message() -> None:
    ue, _ = _pair()
    ue.protect(b"up", CIPHERED)
    assert ue.last_uplink_count == 0
    with pytest.raises(Misuse):
        _ = ue.last_downlink_count


def test_the_context_prints_no_key() -> None:
    text = repr(_pair()[0])
    assert text == "SecurityContext(ue, ksi 3, NEA2, NIA2, provisioning, sent -1, accepted -1)"


@pytest.mark.parametrize("ksi", [-1, 7])
def test_a_key_set_identifier_out_of_range(ksi: int) -> None:
    with pytest.raises(Misuse):
        SecurityContext(Side.UE, ksi, K_AMF, AES, Scope.ORDINARY)


def test_rude_and_mistaken_callers() -> None:
    ue, cp = _pair()
    with pytest.raises(Misuse):
        SecurityContext(Side.UE, 0, KAmf(bytes(16)), AES, Scope.ORDINARY)
    with pytest.raises(Misuse):
        ue.protect(b"plain", SecurityHeader.PLAIN)
    with pytest.raises(Misuse):
        ue.protect(b"", CIPHERED)
    for pdu in (
        ProtectedPdu(SecurityHeader.PLAIN, bytes(4), 0, b"x"),
        ProtectedPdu(CIPHERED, bytes(3), 0, b"x"),
        ProtectedPdu(CIPHERED, bytes(4), 0, b""),
    ):
        with pytest.raises(DecodeError):
            cp.unprotect(pdu)
