"""The card behind a reader: channels, selection, blocks, answers that have to be fetched."""

from collections.abc import Iterator

import pytest
from doubles.pki import EID, shared_pki
from doubles.rsp import CONTENTS, Wire, make_card, make_server
from hypothesis import given
from hypothesis import strategies as st

from rprov.provision.euicc.card import Card
from rprov.provision.euicc.es10 import Euicc
from rprov.provision.sgp22.codes import ISD_R

SELECT = bytes((0, 0xA4, 4, 0, len(ISD_R))) + ISD_R
GET_EID = bytes.fromhex("BF3E035C015A")
EID_ANSWER = bytes.fromhex("BF3E125A10" + EID.digits)


@pytest.fixture
def card() -> Card:
    return Card(make_card(shared_pki()))


def blocks(command: bytes, size: int) -> Iterator[bytes]:
    """STORE DATA, as an LPA sends it."""
    pieces = [command[at : at + size] for at in range(0, len(command), size)]
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        yield bytes((0x80, 0xE2, 0x91 if last else 0x11, number, len(piece))) + piece


def talk(card: Card, command: bytes, size: int = 120, channel: int = 0) -> bytes:
    """Give the card a command and fetch all of its answer; gives data and status, as `Euicc.execute` does."""
    answer = b""
    for block in blocks(command, size):
        answer = card.transmit(bytes((block[0] | channel,)) + block[1:])
    data = b""
    while answer[-2] == 0x61:
        answer = card.transmit(bytes((0x80 | channel, 0xC0, 0, 0, answer[-1])))
        data += answer[:-2]
    return data + answer[-2:]


def test_selecting_the_isd_r(card: Card) -> None:
    answer = card.transmit(SELECT)
    assert answer == bytes((0x61, 0x21))
    fci = card.transmit(bytes.fromhex("00C0000000"))
    assert fci.hex().upper() == "6F1F" + "8410" + ISD_R.hex().upper() + "A5049F6501FF" + "E0058203020202" + "9000"


def test_a_command_in_one_block(card: Card) -> None:
    card.transmit(SELECT)
    assert card.transmit(bytes.fromhex("80E2910006") + GET_EID) == bytes((0x61, len(EID_ANSWER)))
    assert card.transmit(bytes.fromhex("80C0000015")) == EID_ANSWER + b"\x90\x00"


def test_le_behind_the_data_is_taken(card: Card) -> None:
    card.transmit(SELECT + b"\0")
    assert card.transmit(bytes.fromhex("80E2910006") + GET_EID + b"\0") == bytes((0x61, len(EID_ANSWER)))


def test_an_answer_is_fetched_in_parts(card: Card) -> None:
    card.transmit(SELECT)
    card.transmit(bytes.fromhex("80E2910006") + GET_EID)
    assert card.transmit(bytes.fromhex("80C0000005")) == EID_ANSWER[:5] + bytes((0x61, len(EID_ANSWER) - 5))
    assert card.transmit(bytes.fromhex("00C0000000")) == EID_ANSWER[5:] + b"\x90\x00"
    assert card.transmit(bytes.fromhex("00C0000000")) == b"\x69\x85"


def test_another_command_forgets_an_answer(card: Card) -> None:
    card.transmit(SELECT)
    card.transmit(bytes.fromhex("80E2910006") + GET_EID)
    card.transmit(bytes.fromhex("80AA000005A903830107"))
    assert card.transmit(bytes.fromhex("80C0000000")) == b"\x69\x85"


def test_channels(card: Card) -> None:
    assert card.transmit(bytes.fromhex("0070000001")) == b"\x01\x90\x00"
    assert card.transmit(bytes.fromhex("0070000000")) == b"\x02\x90\x00"
    assert card.transmit(bytes.fromhex("0070000001")) == b"\x03\x90\x00"
    assert card.transmit(bytes.fromhex("0070000001")) == b"\x6a\x81"
    card.transmit(b"\x01" + SELECT[1:])
    assert talk(card, GET_EID, channel=1) == EID_ANSWER + b"\x90\x00"
    assert talk(card, GET_EID, channel=2) == b"\x69\x85"  # nothing is selected there
    assert card.transmit(bytes.fromhex("00708001")) == b"\x90\x00"
    assert talk(card, GET_EID, channel=1) == b"\x68\x81"
    assert card.transmit(bytes.fromhex("00708001")) == b"\x68\x81"
    assert card.transmit(bytes.fromhex("00708000")) == b"\x6a\x86"
    assert card.transmit(bytes.fromhex("00700001")) == b"\x6a\x86"
    assert card.transmit(bytes.fromhex("0070000001")) == b"\x01\x90\x00"
    assert talk(card, GET_EID, channel=1) == b"\x69\x85"


def test_terminal_capability_is_accepted(card: Card) -> None:
    assert card.transmit(bytes.fromhex("80AA000005A903830107")) == b"\x90\x00"


@pytest.mark.parametrize(
    ("numbers", "answers"),
    [
        ((1,), ["6a86"]),
        ((0, 2), ["9000", "6a86"]),
        ((0, 1, 1), ["9000", "9000", "6a86"]),
        ((0, 2, 1), ["9000", "6a86", "6a86"]),
    ],
    ids=str,
)
def test_blocks_out_of_order_drop_the_command(card: Card, numbers: tuple[int, ...], answers: list[str]) -> None:
    card.transmit(SELECT)
    got = [card.transmit(bytes((0x80, 0xE2, 0x11, number, 1, 0xBF))).hex() for number in numbers]
    assert got == answers
    assert card.transmit(bytes((0x80, 0xE2, 0x91, 1, 1, 0))) == b"\x6a\x86"
    assert talk(card, GET_EID) == EID_ANSWER + b"\x90\x00"


def test_block_zero_begins_anew(card: Card) -> None:
    card.transmit(SELECT)
    card.transmit(bytes.fromhex("80E21100020102"))
    card.transmit(bytes.fromhex("80E21101020304"))
    assert talk(card, GET_EID) == EID_ANSWER + b"\x90\x00"


@pytest.mark.parametrize(
    ("apdu", "status"),
    [
        ("", "6700"),
        ("80E291", "6700"),
        ("80E29100", "6700"),
        ("80E2910006BF3E", "6700"),
        ("80E2910000", "6700"),
        ("80E2900006BF3E035C015A", "6a86"),
        ("80E2910003BF3E00", "6a80"),
        ("80E2910003BF5600", "6a88"),
        ("84E2910006BF3E035C015A", "6e00"),
        ("40E2910006BF3E035C015A", "6e00"),
        ("00E2910006BF3E035C015A", "6d00"),
        ("00B0000000", "6d00"),
        ("00A4040002A000", "6a82"),
        ("00A4000C023F00", "6a86"),
        ("00A40400", "6700"),
        ("80C000000000", "6700"),
    ],
)
def test_what_the_card_says_no_to(card: Card, apdu: str, status: str) -> None:
    card.transmit(SELECT)
    assert card.transmit(bytes.fromhex(apdu)).hex() == status


def test_selecting_something_else_takes_the_functions_away(card: Card) -> None:
    card.transmit(SELECT)
    card.transmit(bytes.fromhex("00A4040002A000"))
    assert card.transmit(bytes.fromhex("80E2910006") + GET_EID) == b"\x69\x85"


class OverApdus(Euicc):
    """A card that an LPA reaches through a reader."""

    __slots__ = ("reader", "size")

    def execute(self, command: bytes) -> bytes:
        return talk(self.reader, command, self.size, channel=1)


@pytest.mark.parametrize("size", [120, 255])
def test_a_whole_download_through_a_reader(size: int) -> None:
    pki = shared_pki()
    card = make_card(pki)
    reader = Card(card)
    reader.transmit(bytes.fromhex("0070000001"))
    reader.transmit(b"\x01" + SELECT[1:])
    front = OverApdus(card.state, {}, (), bytes, card.wall)
    front.reader, front.size = reader, size
    outcome = Wire(front, make_server(pki)).download()
    assert outcome.iccid == CONTENTS.iccid
    enabled = card.enabled_profile()
    assert enabled is not None
    assert enabled.contents == CONTENTS


def test_more_blocks_than_p2_can_number_are_refused(card: Card) -> None:
    card.transmit(SELECT)
    for number in range(256):
        assert card.transmit(bytes((0x80, 0xE2, 0x11, number, 1, 0))) == b"\x90\x00"
    assert card.transmit(bytes((0x80, 0xE2, 0x91, 255, 1, 0))) == b"\x6a\x86"


def test_taking_the_power_away_forgets_channels_and_session(card: Card) -> None:
    card.transmit(bytes.fromhex("0070000001"))
    card.transmit(SELECT)
    card.reset()
    assert talk(card, GET_EID) == b"\x69\x85"
    assert talk(card, GET_EID, channel=1) == b"\x68\x81"


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_apdus_get_a_status(apdus: list[bytes]) -> None:
    card = Card(make_card(shared_pki()))
    state = card.euicc.state
    card.transmit(SELECT)
    for apdu in apdus:
        assert len(card.transmit(apdu)) >= 2
    assert card.euicc.state is state


stored = st.tuples(st.sampled_from((0x11, 0x91)), st.integers(0, 3), st.binary(min_size=1, max_size=30))


@given(st.lists(stored, max_size=8))
def test_any_store_data_gets_a_status(sent: list[tuple[int, int, bytes]]) -> None:
    card = Card(make_card(shared_pki()))
    card.transmit(SELECT)
    for p1, p2, data in sent:
        answer = card.transmit(bytes((0x80, 0xE2, p1, p2, len(data))) + data)
        assert answer[0] in (0x61, 0x69, 0x6A, 0x90)
