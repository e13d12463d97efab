"""The card at the level of ES10: what it answers, what it refuses, and that it never changes half."""

import copy
from dataclasses import replace
from datetime import timedelta

import pytest
from doubles import es10_calls
from doubles.pki import EID, NOW, OTHER_EID, SMDP_FQDN, Pki, seeded, shared_pki
from doubles.rsp import CONTENTS, OTHER_CONTENTS, make_card
from doubles.rsp_bench import TRANSACTION, Bench, data, metadata_of
from hypothesis import given
from hypothesis import strategies as st

from rprov.crypto.x509 import Role, subject_key_id
from rprov.errors import DecodeError, Misuse
from rprov.model.identifiers import Iccid, luhn_check_digit
from rprov.provision.euicc.es10 import NO_FUNCTION, NOT_DECODABLE, NOT_NOW, Euicc
from rprov.provision.euicc.state import MAX_NOTIFICATIONS, MAX_PROFILES, CardState
from rprov.provision.profile import build_profile
from rprov.provision.sgp22.bpp import MAX_PACKAGE, cut
from rprov.provision.sgp22.codes import AuthenticateError, BppCommand, BppError, CancelError, PrepareError
from rprov.provision.sgp22.info import EuiccInfo1, EuiccInfo2
from rprov.provision.sgp22.keys import (
    certificate_octets,
    load_point,
    one_time_key,
    point,
    sign,
    signature_do,
    verify,
)
from rprov.provision.sgp22.metadata import Event, InstallationFailure, InstallationResult, SignedNotification
from rprov.provision.sgp22.objects import (
    AuthenticateServerAnswer,
    CancelSessionAnswer,
    CancelSessionRequest,
    CardError,
    PrepareDownloadAnswer,
    PrepareDownloadRequest,
    oid_octets,
)
from rprov.provision.sgp22.tlv import Reader, fixed, header, open_tlv, read, tlv


@pytest.fixture
def bench() -> Bench:
    return Bench(shared_pki())


# --- what it tells ---------------------------------------------------------------------------------------------------


def test_the_eid(bench: Bench) -> None:
    assert bench.card.execute(bytes.fromhex("BF3E035C015A")) == bytes.fromhex("BF3E125A10" + EID.digits + "9000")
    assert es10_calls.read_eid(bench.card.execute) == EID


def test_the_short_and_the_long_information(bench: Bench) -> None:
    ci = subject_key_id(bench.pki.ci.certificate)
    info1 = EuiccInfo1.decode(data(bench.card.execute(bytes.fromhex("BF2000"))))
    assert (info1.verification, info1.signing) == ((ci,), (ci,))
    octets = data(bench.card.execute(bytes.fromhex("BF2200")))
    assert EuiccInfo2.decode(octets).free_memory == bench.card.state.free_memory
    mandatory = (0x81, 0x82, 0x83, 0x84, 0x85, 0x88, 0xA9, 0xAA, 0x04, 0x0C)  # SGP.22 5.7.8
    assert tuple(item.tag for item in open_tlv(octets, 0xBF22, "x").rest()) == mandatory


def test_rules_and_addresses(bench: Bench) -> None:
    assert data(bench.card.execute(bytes.fromhex("BF4300"))) == bytes.fromhex("BF4302A000")
    assert data(bench.card.execute(bytes.fromhex("BF3C00"))) == bytes.fromhex("BF3C028100")
    assert data(bench.card.execute(tlv(0xBF3F, tlv(0x80, b"dp.example")))) == bytes.fromhex("BF3F03800100")
    assert data(bench.card.execute(bytes.fromhex("BF3C00"))) == tlv(0xBF3C, tlv(0x80, b"dp.example"), tlv(0x81))


def test_each_challenge_is_new(bench: Bench) -> None:
    assert bench.challenge() != bench.challenge()


@pytest.mark.parametrize("command", ["", "BF", "BF2E", "BF2E01", "BF2E0100", "BF2E0000", "BF3E00", "BF3E035C0180"])
def test_what_cannot_be_decoded(bench: Bench, command: str) -> None:
    assert bench.card.execute(bytes.fromhex(command)) == NOT_DECODABLE


def test_what_is_no_function_of_a_consumer_card(bench: Bench) -> None:
    assert bench.card.execute(bytes.fromhex("BF5600")) == NO_FUNCTION  # GetCerts: asked to tell IoT cards
    assert bench.card.execute(bytes.fromhex("8000")) == NO_FUNCTION


def test_a_command_too_long_for_a_card(bench: Bench) -> None:
    assert bench.card.execute(tlv(0xBF38, bytes(70000))) == NOT_DECODABLE


# --- AuthenticateServer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", ["P-256", "brainpoolP256r1"])
def test_the_card_proves_itself(curve: str) -> None:
    bench = Bench(shared_pki(curve))
    answer = bench.authenticate()
    assert isinstance(answer, AuthenticateServerAnswer)
    verify(bench.pki.euicc.key.public_key(), answer.signature, answer.signed.raw)
    assert answer.euicc_certificate == certificate_octets(bench.pki.euicc.certificate)
    assert answer.eum_certificate == certificate_octets(bench.pki.eum.certificate)
    assert answer.signed.matching_id == "MATCH-1"
    assert (answer.signed.server_address, answer.signed.server_challenge) == (SMDP_FQDN, bytes(16))
    prepared = bench.prepare()
    assert isinstance(prepared, PrepareDownloadAnswer)
    request = bench.binding_proof()
    signature_of_server = signature_do(request.signature)
    verify(bench.pki.euicc.key.public_key(), prepared.signature, prepared.signed.raw, signature_of_server)
    load_point(prepared.signed.one_time_key, bench.pki.dp_pb.key.curve, "x")


def refused(answer: object, code: int) -> None:
    assert answer == CardError(TRANSACTION, code)


def test_without_a_challenge_there_is_no_session(bench: Bench) -> None:
    refused(bench.authenticate(bench.server_proof(bytes(16))), AuthenticateError.NO_SESSION)


def test_a_ci_that_the_card_does_not_know(bench: Bench) -> None:
    for wrong in (bytes(20), subject_key_id(bench.pki.other_ci.certificate)):
        proof = bench.server_proof(bench.challenge(), ci_id=wrong)
        refused(bench.authenticate(proof), AuthenticateError.UNKNOWN_CI)


def test_a_ci_that_the_card_believes_but_cannot_sign_under(bench: Bench) -> None:
    pki = bench.pki
    bench.card = make_card(pki, anchors=(pki.ci.certificate, pki.other_ci.certificate))
    proof = bench.server_proof(
        bench.challenge(), pki.make_dp_auth(pki.other_ci), ci_id=subject_key_id(pki.other_ci.certificate)
    )
    refused(bench.authenticate(proof), AuthenticateError.UNKNOWN_CI)


def test_certificates_of_the_server_that_are_not_valid(bench: Bench) -> None:
    pki = bench.pki
    wrong = {
        "another CI": pki.make_dp_auth(pki.other_ci),
        "expired": pki.make_dp_auth(not_after=NOW - timedelta(days=1)),
        "not yet": pki.make_dp_auth(not_before=NOW + timedelta(days=1)),
        "role DPpb": pki.dp_pb,
        "role DPtls": pki.dp_tls,
        "role eUICC": pki.euicc,
        "no role": pki.make_dp_auth(policies=()),
        "two roles": pki.make_dp_auth(policies=(Role.DP_AUTH.oid, Role.DP_PB.oid)),
        "may sign certificates": pki.make_dp_auth(key_usage=("key_cert_sign",)),
    }
    for name, signer in wrong.items():
        answer = bench.authenticate(bench.server_proof(bench.challenge(), signer))
        assert answer == CardError(TRANSACTION, AuthenticateError.INVALID_CERTIFICATE), name


def test_a_certificate_that_is_none(bench: Bench) -> None:
    proof = bench.server_proof(bench.challenge(), certificate=tlv(0x30, b"no certificate"))
    refused(bench.authenticate(proof), AuthenticateError.INVALID_CERTIFICATE)


def test_a_certificate_that_the_ci_did_not_sign(bench: Bench) -> None:
    octets = bytearray(certificate_octets(bench.pki.dp_auth.certificate))
    octets[-1] ^= 1
    proof = bench.server_proof(bench.challenge(), certificate=bytes(octets))
    refused(bench.authenticate(proof), AuthenticateError.INVALID_CERTIFICATE)


def test_a_signature_of_somebody_else(bench: Bench) -> None:
    certificate = certificate_octets(bench.pki.dp_auth.certificate)
    proof = bench.server_proof(bench.challenge(), bench.pki.dp_pb, certificate)
    refused(bench.authenticate(proof), AuthenticateError.INVALID_SIGNATURE)


def test_a_challenge_of_another_card_or_another_time(bench: Bench) -> None:
    bench.challenge()
    refused(bench.authenticate(bench.server_proof(bytes(16))), AuthenticateError.CHALLENGE_MISMATCH)
    old = bench.challenge()
    bench.challenge()
    refused(bench.authenticate(bench.server_proof(old)), AuthenticateError.CHALLENGE_MISMATCH)


def test_a_challenge_serves_once(bench: Bench) -> None:
    proof = bench.server_proof(bench.challenge())
    assert isinstance(bench.authenticate(proof), AuthenticateServerAnswer)
    refused(bench.authenticate(proof), AuthenticateError.NO_SESSION)
    challenge = bench.challenge()
    bench.authenticate(bench.server_proof(bytes(16)))
    refused(bench.authenticate(bench.server_proof(challenge)), AuthenticateError.NO_SESSION)


def test_dates_are_judged_at_the_time_that_the_card_is_told(bench: Bench) -> None:
    bench.card.wall = NOW + timedelta(days=9000)
    proof = bench.server_proof(bench.challenge())
    refused(bench.authenticate(proof), AuthenticateError.INVALID_CERTIFICATE)


# --- PrepareDownload -------------------------------------------------------------------------------------------------


def test_no_download_without_authentication(bench: Bench) -> None:
    refused(bench.prepare(), PrepareError.NO_SESSION)
    bench.challenge()
    refused(bench.prepare(), PrepareError.NO_SESSION)


def test_another_transaction_than_the_one_authenticated(bench: Bench) -> None:
    bench.authenticate()
    answer = bench.prepare(bench.binding_proof(transaction_id=b"another"))
    assert answer == CardError(b"another", PrepareError.INVALID_TRANSACTION_ID)


def test_binding_certificates_that_are_not_valid(bench: Bench) -> None:
    pki = bench.pki
    wrong = {
        "another server's OID": pki.make_dp_pb(oid="2.999.11"),
        "another CI": pki.make_dp_pb(pki.other_ci),
        "expired": pki.make_dp_pb(not_after=NOW - timedelta(days=1)),
        "role DPauth": pki.dp_auth,
        "no role": pki.make_dp_pb(policies=()),
    }
    for name, signer in wrong.items():
        bench.authenticate()
        answer = bench.prepare(bench.binding_proof(signer))
        assert answer == CardError(TRANSACTION, PrepareError.INVALID_CERTIFICATE), name


def test_a_binding_signature_that_does_not_cover_the_cards_own(bench: Bench) -> None:
    bench.authenticate()
    bench.signature1 = bytes(64)
    refused(bench.prepare(), PrepareError.INVALID_SIGNATURE)


def test_an_older_one_time_key_is_used_again_where_the_server_asks(bench: Bench) -> None:
    def ask(key: bytes) -> bytes:
        bench.authenticate()
        raw = tlv(0x30, tlv(0x80, TRANSACTION), tlv(0x01, b"\0"), tlv(0x5F49, key))
        signature = sign(bench.pki.dp_pb.key, raw, signature_do(bench.signature1))
        certificate = certificate_octets(bench.pki.dp_pb.certificate)
        command = tlv(0xBF21, raw, signature_do(signature), certificate)
        answer = PrepareDownloadAnswer.decode(data(bench.card.execute(command)))
        assert isinstance(answer, PrepareDownloadAnswer)
        return answer.signed.one_time_key

    bench.ready()
    first = bench.card_key
    assert ask(first) == first
    unknown = point(one_time_key(bench.pki.dp_pb.key.curve, seeded("unknown")))
    fresh = ask(unknown)
    assert fresh not in (first, unknown)


def test_the_confirmation_hash_is_echoed_and_signed(bench: Bench) -> None:
    bench.authenticate()
    request = replace(bench.binding_proof(), hash_cc=b"h" * 32)
    answer = bench.prepare(request)
    assert isinstance(answer, PrepareDownloadAnswer)
    assert answer.signed.hash_cc == b"h" * 32
    assert "hhhh" not in repr(request) + repr(answer)


# --- CancelSession ---------------------------------------------------------------------------------------------------


def cancel(bench: Bench, transaction_id: bytes = TRANSACTION, reason: int = 1) -> CancelSessionAnswer | CardError:
    request = CancelSessionRequest(transaction_id, reason)
    return CancelSessionAnswer.decode(data(bench.card.execute(request.encode())))


@pytest.mark.parametrize("far", ["authenticated", "prepared", "loading"])
def test_a_session_can_be_cancelled_at_any_time(bench: Bench, far: str) -> None:
    bench.authenticate()
    if far != "authenticated":
        bench.prepare()
    if far == "loading":
        bench.load(b"", cut(bench.package())[:4])
    answer = cancel(bench)
    assert isinstance(answer, CancelSessionAnswer)
    verify(bench.pki.euicc.key.public_key(), answer.signature, answer.signed)
    assert (answer.transaction_id, answer.reason) == (TRANSACTION, 1)
    assert answer.smdp_oid == oid_octets("2.999.10") == bytes.fromhex("88370A")
    assert cancel(bench) == CardError(b"", CancelError.INVALID_TRANSACTION_ID)
    refused(bench.prepare(), PrepareError.NO_SESSION)


def test_only_the_session_that_is_open_can_be_cancelled(bench: Bench) -> None:
    assert cancel(bench) == CardError(b"", CancelError.INVALID_TRANSACTION_ID)
    bench.authenticate()
    assert cancel(bench, b"another") == CardError(b"", CancelError.INVALID_TRANSACTION_ID)
    assert isinstance(bench.prepare(), PrepareDownloadAnswer)


# --- loading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", ["P-256", "brainpoolP256r1"])
@pytest.mark.parametrize("replaced", [True, False], ids=["own keys", "session keys"])
def test_a_package_is_installed(curve: str, replaced: bool) -> None:
    bench = Bench(shared_pki(curve)).ready()
    result = bench.load(bench.package(replaced=replaced))
    assert result is not None
    verify(bench.pki.euicc.key.public_key(), result.signature, result.signed)
    assert (result.transaction_id, result.smdp_oid) == (TRANSACTION, oid_octets("2.999.10"))
    assert (result.notification.event, result.notification.address) == (Event.INSTALL, SMDP_FQDN)
    assert result.notification.iccid == CONTENTS.iccid
    (profile,) = bench.card.state.profiles
    assert result.outcome == profile.aid == bytes.fromhex("A0000005591010FFFFFFFF8900001000")
    assert profile.contents == CONTENTS
    assert not profile.enabled


@given(st.data())
def test_the_pieces_may_be_cut_anywhere(drawn: st.DataObject) -> None:
    bench = Bench(shared_pki()).ready()
    package = bench.package()
    cuts = sorted(drawn.draw(st.sets(st.integers(2, len(package) - 1), max_size=40)))
    pieces = tuple(package[start:end] for start, end in zip([0, *cuts], [*cuts, len(package)], strict=True))
    # From the second octet on, for the tag tells that it is a package and no other command.
    assert bench.load(package, pieces) is not None
    assert bench.card.state.profile(CONTENTS.iccid) is not None


def test_octet_by_octet(bench: Bench) -> None:
    package = bench.ready().package()
    result = bench.load(package, (package[:2], *(package[at : at + 1] for at in range(2, len(package)))))
    assert result is not None
    assert isinstance(result.outcome, bytes)


def failed(bench: Bench, result: InstallationResult | None, command: BppCommand, reason: BppError) -> None:
    """The card refused for this reason, signed its refusal, has no session and has kept nothing of the package."""
    assert result is not None
    assert result.outcome == InstallationFailure(command, reason)
    verify(bench.pki.euicc.key.public_key(), result.signature, result.signed)
    assert bench.card.state.notifications[-1].metadata == result.notification
    assert bench.card.state.profiles == ()
    refused(bench.prepare(), PrepareError.NO_SESSION)


def test_a_package_that_nobody_prepared_for(bench: Bench) -> None:
    bench.ready()
    package = bench.package()
    for card in (make_card(bench.pki), bench.card):
        if card is bench.card:
            cancel(bench)
        assert card.execute(package) == NOT_NOW
        assert card.state.notifications == ()


def test_a_package_of_another_transaction(bench: Bench) -> None:
    result = bench.ready().load(bench.package(transaction_id=b"another"))
    failed(bench, result, BppCommand.INITIALISE_SECURE_CHANNEL, BppError.INVALID_TRANSACTION_ID)


def test_a_package_that_another_signed(bench: Bench) -> None:
    result = bench.ready().load(bench.package(signer=bench.pki.dp_auth))
    failed(bench, result, BppCommand.INITIALISE_SECURE_CHANNEL, BppError.INVALID_SIGNATURE)


def test_a_package_for_another_card(bench: Bench) -> None:
    bench.ready()
    bench.card_key = point(one_time_key(bench.pki.dp_pb.key.curve, seeded("another card")))
    failed(bench, bench.load(bench.package()), BppCommand.INITIALISE_SECURE_CHANNEL, BppError.INVALID_SIGNATURE)


def test_a_package_for_another_eid_does_not_open(bench: Bench) -> None:
    bench.ready()
    card = bench.card
    bench.card = copy.copy(card)
    bench.card.state = replace(card.state, eid=OTHER_EID)
    package = bench.package()
    bench.card = card
    failed(bench, bench.load(package), BppCommand.CONFIGURE_ISDP, BppError.SECURITY)


def resigned(bench: Bench, package: bytes, **changed: bytes) -> bytes:
    """The package with a changed secure channel, rightly signed: its server itself is rude."""
    outer = Reader(read(package, "x").value, "x")
    inner = Reader(outer.take(0xBF23).value, "x")
    parts = {name: inner.take(tag).raw for name, tag in (("op", 0x82), ("tid", 0x80), ("crt", 0xA6), ("key", 0x5F49))}
    signed = b"".join((parts | changed).values())
    signature = sign(bench.pki.dp_pb.key, signed, tlv(0x5F49, bench.card_key))
    return tlv(0xBF36, tlv(0xBF23, signed, signature_do(signature)), *(item.raw for item in outer.rest()))


def test_parameters_that_the_card_does_not_support(bench: Bench) -> None:
    cases = {
        BppError.UNSUPPORTED_OPERATION_TYPE: {"op": tlv(0x82, b"\x02")},
        BppError.UNSUPPORTED_CRT_VALUES: {"crt": tlv(0xA6, bytes.fromhex("800180810110840168"))},
        BppError.INCORRECT_INPUT: {"key": tlv(0x5F49, b"\x04" + bytes(64))},
        BppError.STRUCTURE: {"crt": tlv(0xA6, bytes.fromhex("8001888101108400"))},
    }
    for reason, changed in cases.items():
        package = resigned(bench, bench.ready().package(), **changed)
        failed(bench, bench.load(package, (package,)), BppCommand.INITIALISE_SECURE_CHANNEL, reason)


def test_a_key_length_of_another_size(bench: Bench) -> None:
    package = resigned(bench, bench.ready().package(), crt=tlv(0xA6, bytes.fromhex("800188810120840168")))
    result = bench.load(package, (package,))
    failed(bench, result, BppCommand.INITIALISE_SECURE_CHANNEL, BppError.UNSUPPORTED_CRT_VALUES)


def rebuilt(package: bytes, change: dict[int, list[bytes]]) -> bytes:
    """The package with the segments of some groups replaced."""
    parts = [
        tlv(item.tag, *change[item.tag]) if item.tag in change else item.raw
        for item in Reader(read(package, "x").value, "x").rest()
    ]
    return tlv(0xBF36, *parts)


def segments(package: bytes, group: int) -> list[bytes]:
    outer = {item.tag: item for item in Reader(read(package, "x").value, "x").rest()}
    return [item.raw for item in Reader(outer[group].value, "x").rest()]


BIG = tlv(0xA6, bytes(500)) + build_profile(CONTENTS)
"""A profile with an element that is of no use to us, in two segments."""


@pytest.mark.parametrize("order", [(1, 0), (0, 0, 1), (0,), (1,), (0, 1, 1)], ids=str)
def test_segments_moved_repeated_or_left_out(bench: Bench, order: tuple[int, ...]) -> None:
    package = bench.ready().package(profile=BIG)
    found = segments(package, 0xA3)
    assert len(found) == 2
    package = rebuilt(package, {0xA3: [found[number] for number in order]})
    reason = BppError.PROFILE_ELEMENT if order == (0,) else BppError.SECURITY
    failed(bench, bench.load(package, (package,)), BppCommand.LOAD_PROFILE_ELEMENTS, reason)


def test_groups_out_of_order_or_missing(bench: Bench) -> None:
    for order, command in (
        ((0, 2, 1, 3, 4), BppCommand.CONFIGURE_ISDP),
        ((0, 1, 3, 2, 4), BppCommand.STORE_METADATA),
        ((0, 1, 2, 4, 3), BppCommand.LOAD_PROFILE_ELEMENTS),
        ((0, 1, 2, 3, 3), BppCommand.REPLACE_SESSION_KEYS),
    ):
        groups = [item.raw for item in Reader(read(bench.ready().package(), "x").value, "x").rest()]
        package = tlv(0xBF36, *(groups[number] for number in order))
        result = bench.load(package, (package,))
        assert result is not None
        assert isinstance(result.outcome, InstallationFailure)
        # Without its A2 the profile is opened with other keys: that is where this one is found out.
        if command is not BppCommand.LOAD_PROFILE_ELEMENTS:
            assert result.outcome.command == command
        assert bench.card.state.profiles == ()


def test_a_second_package_in_the_middle_of_the_first(bench: Bench) -> None:
    package = bench.ready().package()
    first = cut(package)
    bench.load(package, first[:4])
    result = InstallationResult.decode(data(bench.card.execute(first[0])))
    failed(bench, result, BppCommand.STORE_METADATA, BppError.INCORRECT_INPUT)


def test_octets_behind_the_end(bench: Bench) -> None:
    package = bench.ready().package()
    result = bench.load(package, (package + b"\0",))
    failed(bench, result, BppCommand.LOAD_PROFILE_ELEMENTS, BppError.INCORRECT_INPUT)


def test_metadata_about_another_profile(bench: Bench) -> None:
    result = bench.ready().load(bench.package(metadata=metadata_of(OTHER_CONTENTS)))
    failed(bench, result, BppCommand.LOAD_PROFILE_ELEMENTS, BppError.ICCID_MISMATCH)


def test_metadata_that_are_none(bench: Bench) -> None:
    result = bench.ready().load(bench.package(metadata=tlv(0xBF25, tlv(0x5A, bytes(10)))))
    failed(bench, result, BppCommand.STORE_METADATA, BppError.STRUCTURE)


def test_policy_rules_that_nobody_allowed(bench: Bench) -> None:
    metadata = open_tlv(metadata_of(CONTENTS), 0xBF25, "x").rest()
    ruled = tlv(0xBF25, *(item.raw for item in metadata), tlv(0x99, b"\x06\x40"))
    result = bench.ready().load(bench.package(metadata=ruled))
    failed(bench, result, BppCommand.STORE_METADATA, BppError.PPR_NOT_ALLOWED)


def test_a_profile_element_that_cannot_be_processed(bench: Bench) -> None:
    profile = build_profile(CONTENTS).replace(bytes.fromhex("800101810101"), bytes.fromhex("800103810101"))
    result = bench.ready().load(bench.package(profile=profile))
    failed(bench, result, BppCommand.LOAD_PROFILE_ELEMENTS, BppError.PROFILE_ELEMENT)


def test_a_package_that_is_too_large_is_refused_by_its_header(bench: Bench) -> None:
    bench.ready()
    result = bench.load(b"", (header(0xBF36, MAX_PACKAGE + 1),))
    failed(bench, result, BppCommand.INITIALISE_SECURE_CHANNEL, BppError.INSUFFICIENT_MEMORY)


def test_a_profile_that_is_there_already(bench: Bench) -> None:
    bench.install()
    before = bench.kept()
    result = bench.ready().load(bench.package())
    assert result is not None
    assert result.outcome == InstallationFailure(BppCommand.STORE_METADATA, BppError.ICCID_EXISTS)
    assert bench.kept() == before


def test_a_card_that_is_full(bench: Bench) -> None:
    bench.install()
    (profile,) = bench.card.state.profiles
    copies = tuple(
        replace(profile, contents=replace(CONTENTS, iccid=_iccid(number)), aid=number.to_bytes(16, "big"))
        for number in range(MAX_PROFILES)
    )
    bench.card.state = replace(bench.card.state, profiles=copies)
    result = bench.ready().load(bench.package())
    assert result is not None
    assert result.outcome == InstallationFailure(BppCommand.INITIALISE_SECURE_CHANNEL, BppError.INSUFFICIENT_MEMORY)


def _iccid(number: int) -> Iccid:
    digits = f"8900{number:015d}"
    return Iccid(f"{digits}{luhn_check_digit(digits)}")


def test_information_may_be_asked_for_in_the_middle_of_loading(bench: Bench) -> None:
    package = bench.ready().package()
    pieces = cut(package)
    bench.load(package, pieces[:5])
    assert es10_calls.read_eid(bench.card.execute) == EID
    assert es10_calls.list_profiles(bench.card.execute) == ()
    result = bench.load(package, pieces[5:])
    assert result is not None
    assert isinstance(result.outcome, bytes)


@pytest.mark.parametrize("how", ["power", "new challenge", "cancel"])
def test_an_interrupted_download_leaves_the_card_as_it_was(bench: Bench, how: str) -> None:
    state = bench.card.state
    package = bench.ready().package()
    pieces = cut(package)
    bench.load(package, pieces[:-1])
    match how:
        case "power":
            bench.card.reset()
        case "new challenge":
            bench.challenge()
        case _:
            cancel(bench)
    assert bench.card.state is state
    assert bench.card.execute(pieces[-1]) == NO_FUNCTION
    assert bench.card.state is state
    bench.install()


def _flips(package: bytes) -> list[int]:
    """Every octet of headers, channel and small groups, and a sample of the profile."""
    return [*range(400), *range(400, len(package), 5)]


@pytest.mark.parametrize("replaced", [True, False], ids=["own keys", "session keys"])
@pytest.mark.parametrize("part", range(2))
def test_a_bit_changed_anywhere_in_a_package_is_refused(part: int, replaced: bool) -> None:
    bench = Bench(shared_pki()).ready()
    package = bench.package(replaced=replaced)
    prepared, kept = bench.card, bench.kept()
    for at in _flips(package)[part::2]:
        changed = bytearray(package)
        changed[at] ^= 1 << at % 8
        bench.card = copy.copy(prepared)
        answer = bench.card.execute(bytes(changed))
        if len(answer) > 2:
            assert isinstance(InstallationResult.decode(data(answer)).outcome, InstallationFailure), at
        bench.card.reset()
        assert bench.kept() == kept, at
    bench.card = prepared
    assert isinstance(bench.load(package), InstallationResult)
    assert bench.kept() != kept


# --- profiles and notifications --------------------------------------------------------------------------------------


def test_the_installed_profile_has_what_a_usim_needs(bench: Bench) -> None:
    bench.install()
    assert bench.card.enabled_profile() is None
    es10_calls.enable_profile(bench.card.execute, CONTENTS.iccid)
    profile = bench.card.enabled_profile()
    assert profile is not None
    assert (profile.iccid, profile.imsi, profile.home) == (CONTENTS.iccid, CONTENTS.imsi, CONTENTS.home)
    assert (profile.k, profile.opc, profile.sqn_array) == (CONTENTS.k, CONTENTS.opc, (0,) * 32)
    assert (profile.suci_key, profile.routing_indicator) == (CONTENTS.suci_key, "17")


def test_the_usims_sequence_numbers_are_kept(bench: Bench) -> None:
    bench.install()
    bench.card.remember_sequence_numbers(CONTENTS.iccid, tuple(range(32)))
    (profile,) = CardState.decode(bench.card.state.encode()).profiles
    assert profile.sqn_array == tuple(range(32))
    for wrong in ((0,) * 31, (1 << 48,) * 32):
        with pytest.raises(DecodeError):
            bench.card.remember_sequence_numbers(CONTENTS.iccid, wrong)
    with pytest.raises(DecodeError):
        bench.card.remember_sequence_numbers(OTHER_CONTENTS.iccid, (0,) * 32)


def switch(bench: Bench, tag: int, target: bytes) -> int:
    body = target if tag == 0xBF33 else tlv(0xA0, target) + tlv(0x81, b"\xff")
    return open_tlv(data(bench.card.execute(tlv(tag, body))), tag, "x").take(0x80).value[0]


def test_one_profile_is_enabled_at_most(bench: Bench) -> None:
    bench.install()
    bench.install(OTHER_CONTENTS)
    by_iccid = tlv(0x5A, CONTENTS.iccid.swapped_octets)
    by_aid = tlv(0x4F, bench.card.state.profiles[1].aid)
    assert switch(bench, 0xBF31, by_iccid) == 0
    assert switch(bench, 0xBF31, by_iccid) == 2
    assert switch(bench, 0xBF31, by_aid) == 0
    assert [profile.enabled for profile in bench.card.state.profiles] == [False, True]
    assert switch(bench, 0xBF32, by_iccid) == 2
    assert switch(bench, 0xBF33, by_aid) == 2
    assert switch(bench, 0xBF32, by_aid) == 0
    assert switch(bench, 0xBF33, by_aid) == 0
    assert switch(bench, 0xBF33, by_aid) == 1
    assert switch(bench, 0xBF31, by_aid) == 1
    assert switch(bench, 0xBF32, by_aid) == 1
    assert [profile.iccid for profile in bench.card.state.profiles] == [CONTENTS.iccid]
    events = [item.metadata.event for item in bench.card.state.notifications]
    expected = [Event.INSTALL] * 2 + [Event.ENABLE, Event.DISABLE, Event.ENABLE, Event.DISABLE, Event.DELETE]
    assert events == expected
    assert [item.metadata.sequence for item in bench.card.state.notifications] == list(range(1, 8))


def test_a_freed_aid_is_used_again(bench: Bench) -> None:
    bench.install()
    bench.install(OTHER_CONTENTS)
    es10_calls.delete_profile(bench.card.execute, CONTENTS.iccid)
    bench.install()
    assert {profile.aid[13:15].hex() for profile in bench.card.state.profiles} == {"0010", "0011"}


def test_notifications_of_the_card_are_signed(bench: Bench) -> None:
    bench.install()
    es10_calls.enable_profile(bench.card.execute, CONTENTS.iccid)
    told = SignedNotification.decode(bench.card.state.notifications[-1].octets)
    verify(bench.pki.euicc.key.public_key(), told.signature, told.notification.raw)
    assert (told.notification.event, told.notification.address) == (Event.ENABLE, SMDP_FQDN)
    assert told.euicc_certificate == certificate_octets(bench.pki.euicc.certificate)


def test_nothing_is_told_that_nobody_could_check(bench: Bench) -> None:
    bench.install()
    bench.card.state = replace(bench.card.state, credentials=(), notifications=())
    es10_calls.enable_profile(bench.card.execute, CONTENTS.iccid)
    assert bench.card.state.notifications == ()


def inside(answer: bytes, tag: int) -> list[bytes]:
    reader = open_tlv(data(answer), tag, "x")
    return [item.raw for item in open_tlv(reader.take(0xA0).raw, 0xA0, "x").rest()]


def test_notifications_are_listed_fetched_and_removed(bench: Bench) -> None:
    card = bench.card
    assert card.execute(tlv(0xBF2B)) == tlv(0xBF2B, tlv(0xA0)) + b"\x90\x00"  # nothing: an empty list, no error
    bench.install()
    es10_calls.enable_profile(card.execute, CONTENTS.iccid)
    install, enable = card.state.notifications
    assert inside(card.execute(tlv(0xBF28)), 0xBF28) == [install.metadata.raw, enable.metadata.raw]
    assert inside(card.execute(tlv(0xBF28, tlv(0x81, b"\x06\x40"))), 0xBF28) == [enable.metadata.raw]
    assert inside(card.execute(tlv(0xBF2B)), 0xBF2B) == [install.octets, enable.octets]
    assert inside(card.execute(tlv(0xBF2B, tlv(0xA0, tlv(0x81, b"\x07\x80")))), 0xBF2B) == [install.octets]
    assert inside(card.execute(tlv(0xBF2B, tlv(0xA0, tlv(0x80, b"\x02")))), 0xBF2B) == [enable.octets]
    assert inside(card.execute(tlv(0xBF2B, tlv(0xA0, tlv(0x80, b"\x09")))), 0xBF2B) == []
    assert data(card.execute(tlv(0xBF30, tlv(0x80, b"\x01")))) == bytes.fromhex("BF3003800100")
    assert data(card.execute(tlv(0xBF30, tlv(0x80, b"\x01")))) == bytes.fromhex("BF3003800101")
    assert card.state.notifications == (enable,)


def test_the_oldest_notifications_are_forgotten_first(bench: Bench) -> None:
    bench.install()
    for _ in range(MAX_NOTIFICATIONS):
        es10_calls.enable_profile(bench.card.execute, CONTENTS.iccid)
        es10_calls.disable_profile(bench.card.execute, CONTENTS.iccid)
    sequences = [item.metadata.sequence for item in bench.card.state.notifications]
    last = 1 + 2 * MAX_NOTIFICATIONS
    assert sequences == list(range(last - MAX_NOTIFICATIONS + 1, last + 1))


def test_profiles_are_listed_with_the_tags_asked_for(bench: Bench) -> None:
    bench.install()
    bench.install(OTHER_CONTENTS)
    card = bench.card
    for profile in es10_calls.list_profiles(card.execute):
        assert [item.tag for item in Reader(profile.value, "x").rest()] == [0x5A, 0x4F, 0x9F70, 0x91, 0x92, 0x95]
    wanted = tlv(0xA0, tlv(0x5A, OTHER_CONTENTS.iccid.swapped_octets)) + tlv(0x5C, bytes.fromhex("5A9F70B7"))
    (only,) = inside(card.execute(tlv(0xBF2D, wanted)), 0xBF2D)
    assert only.hex() == (
        "e317" + "5a0a" + OTHER_CONTENTS.iccid.swapped_octets.hex() + "9f7001" + "00" + "b705800300f110"
    )
    assert inside(card.execute(tlv(0xBF2D, tlv(0xA0, tlv(0x95, b"\x00")))), 0xBF2D) == []
    assert len(inside(card.execute(tlv(0xBF2D, tlv(0xA0, tlv(0x95, b"\x02")))), 0xBF2D)) == 2
    assert card.execute(tlv(0xBF2D, tlv(0xA0, tlv(0x91, b"x")))) == NOT_DECODABLE


def test_a_nickname_is_kept(bench: Bench) -> None:
    bench.install()
    name = tlv(0x5A, CONTENTS.iccid.swapped_octets) + tlv(0x90, "Zähler 7".encode())
    assert data(bench.card.execute(tlv(0xBF29, name))) == bytes.fromhex("BF2903800100")
    assert bench.card.state.profiles[0].nickname == "Zähler 7"
    other = tlv(0x5A, OTHER_CONTENTS.iccid.swapped_octets) + tlv(0x90, b"x")
    assert data(bench.card.execute(tlv(0xBF29, other))) == bytes.fromhex("BF2903800101")


def test_memory_reset_deletes_and_tells(bench: Bench) -> None:
    bench.install()
    assert data(bench.card.execute(tlv(0xBF34, tlv(0x82, b"\x06\x40")))) == bytes.fromhex("BF3403800101")
    assert data(bench.card.execute(tlv(0xBF34, tlv(0x82, b"\x05\xa0")))) == bytes.fromhex("BF3403800100")
    assert bench.card.state.profiles == ()
    assert bench.card.state.notifications[-1].metadata.event is Event.DELETE


# --- state -----------------------------------------------------------------------------------------------------------


def test_a_card_survives_being_rebuilt_from_its_state(bench: Bench) -> None:
    bench.install()
    es10_calls.enable_profile(bench.card.execute, CONTENTS.iccid)
    octets = bench.card.state.encode()
    state = CardState.decode(octets)
    assert state == bench.card.state
    assert state.encode() == octets
    bench.card = Euicc(
        state, {"sk-euicc": bench.pki.euicc.key}, (bench.pki.ci.certificate,), seeded("another life"), NOW
    )
    bench.install(OTHER_CONTENTS)
    assert bench.card.enabled_profile() is not None
    assert [item.metadata.sequence for item in bench.card.state.notifications] == [1, 2, 3]


@given(st.data())
def test_a_damaged_state_is_read_or_refused(drawn: st.DataObject) -> None:
    octets = bytearray(_installed())
    for _ in range(drawn.draw(st.integers(1, 3))):
        octets[drawn.draw(st.integers(0, len(octets) - 1))] = drawn.draw(st.integers(0, 255))
    try:
        CardState.decode(bytes(octets))
    except DecodeError:
        return


def _installed() -> bytes:
    bench = Bench(shared_pki())
    bench.install()
    return bench.card.state.encode()


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(DecodeError, match="version 2"):
        CardState.decode(tlv(0x30, tlv(0x80, b"\x02")))


def test_no_secret_prints(bench: Bench) -> None:
    bench.ready()
    shown = repr(bench.card._session) + repr(bench.card._means()) + repr(bench.card._spare)
    bench.install()
    shown += repr(bench.card.state) + repr(bench.card.enabled_profile())
    secrets = [CONTENTS.k.octets, CONTENTS.opc.octets]
    secrets += [bench.pki.euicc.key.private_numbers().private_value.to_bytes(32, "big")]
    for secret in secrets:
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown
    assert "PrivateKey" not in shown


def test_the_private_key_leaves_only_by_the_door_that_says_so(bench: Bench) -> None:
    key, chain = bench.card.tls_credential(subject_key_id(bench.pki.ci.certificate))
    assert key is bench.pki.euicc.key
    assert chain == tuple(certificate_octets(item) for item in bench.pki.euicc.chain)
    with pytest.raises(Misuse):
        bench.card.tls_credential(bytes(20))


def test_a_key_that_is_not_there_is_no_credential() -> None:
    pki = Pki()
    card = Euicc(make_card(pki).state, {}, (pki.ci.certificate,), seeded(), NOW)
    info = EuiccInfo1.decode(data(card.execute(tlv(0xBF20))))
    assert info.signing == ()
    assert fixed(info.verification[0], 20, "x") == subject_key_id(pki.ci.certificate)


def test_a_request_for_preparation_keeps_what_it_was(bench: Bench) -> None:
    bench.authenticate()
    request = bench.binding_proof()
    assert PrepareDownloadRequest.decode(request.encode()) == request
