import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprov.crypto.bits import xor
from rprov.crypto.hierarchy import KGnb, KRrcEnc, KRrcInt, k_rrc_enc, k_rrc_int, k_up_enc, k_up_int
from rprov.crypto.nas_algorithms import cipher, integrity
from rprov.errors import DecodeError, MacMismatch, Misuse, Replayed
from rprov.model.security import Algorithms, Nea, Nia
from rprov.security.pdcp import DRB_SN_BITS, MAX_SDU, SRB_SN_BITS, Pdcp, PdcpEntity, PdcpKeys

K_GNB = KGnb(bytes(range(32)))
AES = Algorithms(Nea.NEA2, Nia.NIA2)
WINDOW = 512


def _srb(bearer: int = 1) -> tuple[PdcpEntity, PdcpEntity]:
    return PdcpEntity(bearer, SRB_SN_BITS, 0, None, 0), PdcpEntity(bearer, SRB_SN_BITS, 1, None, 0)


def _secured() -> tuple[PdcpEntity, PdcpEntity]:
    pair = _srb()
    for entity in pair:
        entity.secure(PdcpKeys.of_srb(K_GNB, AES))
        entity.cipher_sending()
        entity.cipher_receiving()
    return pair


def _drb(
    *, integrity_on: bool = True, ciphering_on: bool = True, algorithms: Algorithms = AES, window: int = WINDOW
) -> tuple[PdcpEntity, PdcpEntity]:
    keys = PdcpKeys.of_drb(K_GNB, algorithms, integrity_on=integrity_on, ciphering_on=ciphering_on)
    return PdcpEntity(1, DRB_SN_BITS, 0, keys, window), PdcpEntity(1, DRB_SN_BITS, 1, keys, window)


def _start_at(sender: PdcpEntity, receiver: PdcpEntity, count: int) -> None:
    sender._next, receiver._highest = count, count - 1


def test_before_activation_an_srb_carries_a_mac_of_zeros() -> None:
    ue, ran = _srb()
    assert ue.protect(b"setup").hex() == "0000" + b"setup".hex() + "00000000"
    assert ue.protect(b"more").hex() == "0001" + b"more".hex() + "00000000"
    assert ran.unprotect(bytes.fromhex("0000") + b"setup" + bytes(4)) == b"setup"
    with pytest.raises(MacMismatch):
        ran.unprotect(bytes.fromhex("0001") + b"more" + b"\0\0\0\1")
    assert ran.unprotect(bytes.fromhex("0001") + b"more" + bytes(4)) == b"more"


def test_the_octets_of_a_drb_pdu() -> None:
    ue, _ = _drb()
    ue._next = 0x2_0001 | 5 << 18  # HFN 5
    header = bytes.fromhex("820001")
    mac = integrity(AES.nia, k_up_int(K_GNB, AES.nia)).mac(0x16_0001, 0, 0, header + b"data")
    body = cipher(AES.nea, k_up_enc(K_GNB, AES.nea)).apply(0x16_0001, 0, 0, b"data" + mac)
    assert ue.protect(b"data") == header + body


def test_the_octets_of_an_srb_pdu_towards_the_ue() -> None:
    ran = PdcpEntity(2, SRB_SN_BITS, 1, PdcpKeys.of_srb(K_GNB, AES), 0)  # SRB2: BEARER 1
    ran._next = 0x1FFF
    header = bytes.fromhex("0fff")
    mac = integrity(AES.nia, k_rrc_int(K_GNB, AES.nia)).mac(0x1FFF, 1, 1, header + b"data")
    body = cipher(AES.nea, k_rrc_enc(K_GNB, AES.nea)).apply(0x1FFF, 1, 1, b"data" + mac)
    assert ran.protect(b"data") == header + body


def test_the_activation_of_as_security() -> None:
    # TS 33.501 6.7.4: command and complete have integrity only; each side ciphers what comes after
    ue, ran = _srb()
    for number in range(3):
        assert ran.unprotect(ue.protect(b"before")) == b"before", number
    keys = PdcpKeys.of_srb(K_GNB, AES)
    ran.secure(keys)
    command = ran.protect(b"security mode command")
    ran.cipher_sending()
    with pytest.raises(MacMismatch):
        ue.unprotect(command)  # the UE has no keys yet: it reads, makes keys, and then verifies
    assert ue.unverified(command) == b"security mode command"
    ue.secure(keys)
    assert ue.unprotect(command) == b"security mode command"
    ue.cipher_receiving()
    complete = ue.protect(b"security mode complete")
    ue.cipher_sending()
    assert b"complete" in complete
    assert ran.unprotect(complete) == b"security mode complete"
    ran.cipher_receiving()
    for sender, receiver in ((ue, ran), (ran, ue)):
        sent = sender.protect(b"a NAS message")
        assert b"NAS" not in sent
        assert sent[:2] == b"\0\1"
        assert receiver.unprotect(sent) == b"a NAS message"


def test_fresh_keys_begin_without_ciphering_and_at_0() -> None:
    ue, ran = _secured()
    ran.unprotect(ue.protect(b"under the first keys"))
    fresh = PdcpKeys.of_srb(KGnb(bytes(32)), AES)
    ue.secure(fresh)
    ran.secure(fresh)
    sent = ue.protect(b"integrity only")
    assert sent[:-4] == b"\0\0integrity only"
    assert ran.unprotect(sent) == b"integrity only"


def test_a_command_can_be_tried_on_a_new_entity() -> None:
    ue, ran = _srb()
    wrong = PdcpKeys.of_srb(KGnb(bytes(32)), AES)
    ran.secure(wrong)
    trial = PdcpEntity(1, SRB_SN_BITS, 0, None, 0)
    trial.secure(PdcpKeys.of_srb(K_GNB, AES))
    with pytest.raises(MacMismatch):
        trial.unprotect(ran.protect(b"security mode command"))
    assert ue.protect(b"failure")[-4:] == bytes(4)  # the old configuration is still there


@pytest.mark.parametrize("nia", [Nia.NIA1, Nia.NIA2, Nia.NIA3])
@pytest.mark.parametrize("nea", list(Nea))
def test_both_sides_understand_each_other(nea: Nea, nia: Nia) -> None:
    ue, ran = _drb(algorithms=Algorithms(nea, nia))
    for sender, receiver in ((ue, ran), (ran, ue)):
        for number in range(3):
            packet = bytes((number,)) * 50
            assert receiver.unprotect(sender.protect(packet)) == packet


@pytest.mark.parametrize("integrity_on", [True, False])
@pytest.mark.parametrize("ciphering_on", [True, False])
def test_what_a_drb_may_lack(integrity_on: bool, ciphering_on: bool) -> None:
    ue, ran = _drb(integrity_on=integrity_on, ciphering_on=ciphering_on)
    sent = ue.protect(b"a packet")
    assert len(sent) == 3 + 8 + (4 if integrity_on else 0)
    assert (b"a packet" in sent) is not ciphering_on
    assert ran.unprotect(sent) == b"a packet"
    with pytest.raises(Replayed):
        ran.unprotect(sent)


@given(data=st.binary(min_size=1, max_size=60), flip=st.integers(0, 10**6), drb=st.booleans())
def test_every_flipped_bit_is_found(data: bytes, flip: int, drb: bool) -> None:
    ue, ran = _drb() if drb else _secured()
    sent = ue.protect(data)
    changed = xor(sent, (1 << flip % (len(sent) * 8)).to_bytes(len(sent)))
    with pytest.raises((MacMismatch, Replayed, DecodeError)):
        ran.unprotect(changed)
    assert ran.unprotect(sent) == data  # and nothing had changed


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(0, 8))
def test_a_drb_takes_each_count_once_within_its_window(order: list[int], window: int) -> None:
    ue, ran = _drb(window=window)
    sent = [ue.protect(number.to_bytes(2)) for number in range(31)]
    highest, seen = -1, set()
    for number in order:
        if number in seen or highest - number > window:
            with pytest.raises(Replayed):
                ran.unprotect(sent[number])
        else:
            assert ran.unprotect(sent[number]) == number.to_bytes(2)
            seen.add(number)
            highest = max(highest, number)


def test_the_edges_of_the_window() -> None:
    ue, ran = _drb()
    sent = [ue.protect(b"packet") for _ in range(2000)]
    ran.unprotect(sent[1000])
    assert ran.unprotect(sent[1000 - WINDOW]) == b"packet"
    with pytest.raises(Replayed):
        ran.unprotect(sent[1000 - WINDOW - 1])
    ran.unprotect(sent[1001])
    with pytest.raises(Replayed):
        ran.unprotect(sent[1000])  # still marked after the window has moved
    ran.unprotect(sent[1001 + WINDOW])
    with pytest.raises(Replayed):
        ran.unprotect(sent[1001])  # the oldest mark that the window holds
    ran.unprotect(sent[1999])  # a leap beyond the window
    assert ran.unprotect(sent[1998]) == b"packet"
    with pytest.raises(Replayed):
        ran.unprotect(sent[1001 + WINDOW - 100])


@given(st.lists(st.integers(0, 40), max_size=40))
def test_an_srb_goes_up_only(order: list[int]) -> None:
    ue, ran = _secured()
    sent = [ue.protect(b"message") for _ in range(41)]
    highest = -1
    for number in order:
        if number > highest:
            ran.unprotect(sent[number])
            highest = number
        else:
            with pytest.raises(Replayed):
                ran.unprotect(sent[number])


@pytest.mark.parametrize("bits", [SRB_SN_BITS, DRB_SN_BITS])
@settings(max_examples=30)
@given(hfn=st.integers(0, 3), sn=st.integers(-3, 3), data=st.data())
def test_the_count_goes_on_when_the_sequence_number_wraps(bits: int, hfn: int, sn: int, data: st.DataObject) -> None:
    keys = PdcpKeys(
        integrity(Nia.NIA2, KRrcInt(bytes(16))),
        cipher(Nea.NEA2, KRrcEnc(bytes(16))),
    )
    ue, ran = PdcpEntity(1, bits, 0, keys, 0), PdcpEntity(1, bits, 1, keys, 0)
    _start_at(ue, ran, max(0, (hfn << bits) + sn))
    for gap in data.draw(st.lists(st.integers(0, (1 << (bits - 1)) - 1), max_size=5)):
        ue._next += gap
        assert ran.unprotect(ue.protect(b"message")) == b"message"


def test_the_last_count_is_used_and_then_no_more() -> None:
    ue, ran = _drb()
    _start_at(ue, ran, (1 << 32) - 1)
    last = ue.protect(b"last")
    assert ran.unprotect(last) == b"last"
    with pytest.raises(Misuse, match="used up"):
        ue.protect(b"one more")
    first = _drb()[0].protect(b"COUNT 0 again")
    with pytest.raises(Replayed):
        ran.unprotect(first)
    with pytest.raises(Replayed):
        ran.unprotect(last)


def test_a_count_before_the_first_does_not_exist() -> None:
    _, ran = _drb()
    with pytest.raises(Replayed):
        ran.unprotect(bytes.fromhex("83ffff") + bytes(20))


@given(st.binary(max_size=40), st.booleans(), st.booleans())
def test_any_octets_give_data_or_an_error_of_the_peer(octets: bytes, drb: bool, secured: bool) -> None:
    _, ran = (_drb() if drb else _secured()) if secured else (_drb(integrity_on=False) if drb else _srb())
    try:
        ran.unprotect(octets)
    except (DecodeError, MacMismatch, Replayed):
        return
    assert not secured


@pytest.mark.parametrize(
    "octets",
    [b"", b"\0", b"\x80\0\0MAC!", b"\x00\0\0xMAC!", b"\xc0\0\0xMAC!", b"\x84\0\0xMAC!", b"\x80\0\0" + bytes(9100)],
)
def test_what_is_no_pdu_of_a_drb(octets: bytes) -> None:
    with pytest.raises(DecodeError):
        _drb()[1].unprotect(octets)


@pytest.mark.parametrize("octets", [b"", b"\0\0MAC!", b"\x10\0xMAC!", b"\x80\0xMAC!"])
def test_what_is_no_pdu_of_an_srb(octets: bytes) -> None:
    for entity in (_srb()[1], _secured()[1]):
        with pytest.raises(DecodeError):
            entity.unprotect(octets)
        with pytest.raises(DecodeError):
            entity.unverified(octets)


def test_mistaken_callers() -> None:
    for arguments in ((0, 12, 0, None, 0), (33, 12, 0, None, 0), (1, 13, 0, None, 0), (1, 12, 2, None, 0)):
        with pytest.raises(Misuse):
            PdcpEntity(*arguments)
    for window in (-1, 2048):
        with pytest.raises(Misuse):
            PdcpEntity(1, 12, 0, None, window)
    ue, _ = _srb()
    for mistake in (ue.cipher_sending, ue.cipher_receiving, lambda: ue.protect(b""), lambda: ue.protect(bytes(9001))):
        with pytest.raises(Misuse):
            mistake()
    with pytest.raises(Misuse):
        ue.secure(PdcpKeys.of_drb(K_GNB, AES, integrity_on=False, ciphering_on=True))
    with pytest.raises(Misuse):
        PdcpKeys.of_srb(K_GNB, Algorithms(Nea.NEA2, Nia.NIA0))


def test_the_longest_packet_passes() -> None:
    ue, ran = _drb()
    bearer: Pdcp = ue
    assert len(ran.unprotect(bearer.protect(bytes(MAX_SDU)))) == MAX_SDU


def test_an_entity_prints_no_key() -> None:
    ue, _ = _drb()
    assert repr(ue) == "PdcpEntity(DRB 1, next 0, highest -1)"
    assert repr(PdcpKeys.of_srb(K_GNB, AES)) == "PdcpKeys()"
