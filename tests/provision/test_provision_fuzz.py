"""Whatever octets come, card and parsers answer in form, and a card keeps what it has."""

import copy

import pytest
from doubles.pki import shared_pki
from doubles.rsp_bench import Bench
from hypothesis import given
from hypothesis import strategies as st

from rprov.errors import DecodeError
from rprov.provision.euicc.es10 import DONE, NO_FUNCTION, NOT_DECODABLE, NOT_NOW, Euicc
from rprov.provision.sgp22.bpp import SecureChannel, cut
from rprov.provision.sgp22.info import EuiccInfo1, EuiccInfo2
from rprov.provision.sgp22.keys import certificate_octets
from rprov.provision.sgp22.metadata import (
    InstallationResult,
    NotificationMetadata,
    ProfileMetadata,
    SignedNotification,
)
from rprov.provision.sgp22.objects import (
    AuthenticateServerAnswer,
    AuthenticateServerRequest,
    CancelSessionAnswer,
    CancelSessionRequest,
    CardError,
    EuiccSigned1,
    EuiccSigned2,
    PrepareDownloadAnswer,
    PrepareDownloadRequest,
    ServerSigned1,
    SmdpSigned2,
)
from rprov.provision.sgp22.tlv import Reader, tlv

PKI = shared_pki()
FUNCTIONS = (
    *(0xBF20, 0xBF21, 0xBF22, 0xBF28, 0xBF29, 0xBF2B, 0xBF2D, 0xBF2E, 0xBF30, 0xBF31, 0xBF32, 0xBF33),
    *(0xBF34, 0xBF36, 0xBF38, 0xBF3C, 0xBF3E, 0xBF3F, 0xBF41, 0xBF43, 0xBF56),
)
STAGES = ("fresh", "challenged", "authenticated", "prepared", "loading", "installed")

leaves = st.builds(
    tlv, st.sampled_from((0x80, 0x81, 0x82, 0x04, 0x5A, 0x4F, 0x5C, 0x5F37, 0x90)), st.binary(max_size=40)
)
nodes = st.sampled_from((0x30, 0xA0, 0xA1))
elements = st.recursive(
    leaves,
    lambda inner: st.builds(lambda tag, parts: tlv(tag, *parts), nodes, st.lists(inner, max_size=4)),
    max_leaves=8,
)
commands = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda tag, parts: tlv(tag, *parts), st.sampled_from(FUNCTIONS), st.lists(elements, max_size=4)),
)


def at_stage(stage: str) -> Bench:
    bench = Bench(PKI)
    match stage:
        case "challenged":
            bench.challenge()
        case "authenticated":
            bench.authenticate()
        case "prepared":
            bench.ready()
        case "loading":
            bench.ready().load(b"", cut(bench.package())[:4])
        case "installed":
            bench.install()
    return bench


CARDS = {stage: at_stage(stage) for stage in STAGES}


def in_form(answer: bytes) -> None:
    """An answer is a status that says no, or elements and a status that says yes."""
    assert answer[-2:] in (DONE, NOT_DECODABLE, NO_FUNCTION, NOT_NOW)
    if answer[-2:] == DONE:
        Reader(answer[:-2], "answer").rest()
    else:
        assert len(answer) == 2


@pytest.mark.parametrize("stage", STAGES)
@given(sent=st.lists(commands, max_size=4))
def test_any_octets_get_an_answer_in_form(stage: str, sent: list[bytes]) -> None:
    # The loader is the one thing of a card that is not a value; a card in the middle of loading is made anew.
    bench = at_stage(stage) if stage == "loading" else copy.copy(CARDS[stage])
    card: Euicc = bench.card if stage == "loading" else copy.copy(bench.card)
    before = {profile.iccid: profile.contents for profile in card.state.profiles}
    for command in sent:
        in_form(card.execute(command))
    after = {profile.iccid: profile.contents for profile in card.state.profiles}
    assert after.items() <= before.items()  # deleting is a command like others; nothing else may change


DECODERS = [
    EuiccInfo1.decode,
    EuiccInfo2.decode,
    SecureChannel.decode,
    ProfileMetadata.decode,
    NotificationMetadata.decode,
    InstallationResult.decode,
    SignedNotification.decode,
    ServerSigned1.decode,
    AuthenticateServerRequest.decode,
    EuiccSigned1.decode,
    AuthenticateServerAnswer.decode,
    SmdpSigned2.decode,
    PrepareDownloadRequest.decode,
    EuiccSigned2.decode,
    PrepareDownloadAnswer.decode,
    CancelSessionRequest.decode,
    CancelSessionAnswer.decode,
]


@pytest.mark.parametrize("decode", DECODERS, ids=lambda decode: decode.__qualname__)
@given(octets=commands)
def test_any_octets_are_an_object_or_a_decode_error(decode: object, octets: bytes) -> None:
    assert callable(decode)
    try:
        decode(octets)
    except DecodeError:
        return


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
@pytest.mark.parametrize("offset", range(3))
def test_a_bit_changed_in_the_servers_first_proof_is_refused(offset: int) -> None:
    bench = Bench(PKI)
    proof = bench.server_proof(bench.challenge())
    command = proof.encode()
    unsigned = {command.index(PKI.dp_auth.certificate.signature) - 1}
    end = command.index(proof.context)  # what the device says of itself is not the server's to sign
    for at in set(range(offset, end, 4)) - unsigned:
        changed = bytearray(command)
        changed[at] ^= 1 << at % 8
        answer = copy.copy(bench.card).execute(bytes(changed))
        in_form(answer)
        if answer.startswith(b"\xbf\x38"):
            assert isinstance(AuthenticateServerAnswer.decode(answer[:-2]), CardError), at
        else:
            assert answer != DONE, at


@pytest.mark.filterwarnings("ignore:Parsed a serial number which wasn't positive")
@pytest.mark.parametrize("offset", range(3))
def test_a_bit_changed_in_the_servers_second_proof_is_refused(offset: int) -> None:
    bench = Bench(PKI)
    bench.authenticate()
    proof = bench.binding_proof()
    command = proof.encode()
    assert certificate_octets(PKI.dp_pb.certificate) in command
    unsigned = {command.index(PKI.dp_pb.certificate.signature) - 1}
    for at in set(range(offset, len(command), 4)) - unsigned:
        changed = bytearray(command)
        changed[at] ^= 1 << at % 8
        answer = copy.copy(bench.card).execute(bytes(changed))
        in_form(answer)
        if answer.startswith(b"\xbf\x21"):
            assert isinstance(PrepareDownloadAnswer.decode(answer[:-2]), CardError), at
        else:
            assert answer != DONE, at
