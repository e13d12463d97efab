"""What a later release may add: asn1tools speaks an extended grammar, rprov the one it has."""

import re
from pathlib import Path

import asn1tools
import pytest

from rprov.errors import DecodeError
from rprov.model.identifiers import Dnn, Plmn, SNssai, Suci
from rprov.model.security import SecurityCapability
from rprov.model.session import SessionKind
from rprov.wire.messages import (
    AttachComplete,
    AttachRequest,
    AttachType,
    DetachRequest,
    IdentityResponse,
    PduSessionRequest,
)
from rprov.wire.nas_asn1 import decode_nas, encode_nas

GRAMMARS = Path(__file__).parents[2] / "asn1"

ADDED = {
    "requestedSession   SessionKind OPTIONAL,": (
        "later INTEGER (0..7), [[ much OCTET STRING, flag BOOLEAN OPTIONAL ]]"
    ),
    "remoteProvisioning(4), ...": "five(5), six(6)",
    "guti               Guti,\n    ...": "imei OCTET STRING (SIZE (8))",
    "status                       Status,": "relay OCTET STRING",
    "AttachComplete ::= SEQUENCE { ...": "many NULL",
    "nia                BIT STRING (SIZE (8)),": "nasty BIT STRING (SIZE (8)) OPTIONAL",
    "switchOff          BOOLEAN,": ", ".join(f"a{n} INTEGER (0..255) OPTIONAL" for n in range(66)),
}
"""A piece of a grammar in which, or right after which, an ellipsis stands, and what a later release puts behind it."""


def extended():
    text = "".join((GRAMMARS / f"rprov-{name}.asn").read_text() for name in ("types", "nas"))
    for place, addition in ADDED.items():
        begin = text.index(place)
        end = text.index("...", begin) + 3
        text = f"{text[:end]}, {addition}{text[end:]}"
    return asn1tools.compile_string(text, "uper")


LATER = extended()
REQUEST = {
    "attachType": "remoteProvisioning",
    "identity": ("eidHint", b"\x89\x04\x90\x32"),
    "ksi": 7,
    "capability": {"nea": (b"\xe0", 8), "nia": (b"\x60", 8)},
    "requestedSession": "provisioning",
}


def encoded(name, value):
    return LATER.encode("NasMessage", (name, value))


def test_the_extended_grammar_without_additions_is_the_old_format():
    octets = encoded("attachRequest", REQUEST)
    assert isinstance(decode_nas(octets), AttachRequest)


@pytest.mark.parametrize(
    "additions",
    [
        {"later": 5},
        {"later": 5, "much": b"\xff" * 100},
        {"later": 5, "much": b"\xff" * 127, "flag": True},
        {"later": 0, "much": b"\xff" * 128},
        {"later": 7, "much": b"\xff" * 5000, "flag": False},
    ],
    ids=lambda additions: "+".join(additions),
)
def test_additions_to_a_sequence_are_skipped(additions):
    plain = decode_nas(encoded("attachRequest", REQUEST))
    assert decode_nas(encoded("attachRequest", REQUEST | additions)) == plain


def test_additions_deep_inside_are_skipped_and_what_follows_is_read():
    capability = REQUEST["capability"] | {"nasty": (b"\xff", 8)}
    found = decode_nas(encoded("attachRequest", REQUEST | {"capability": capability}))
    assert found.capability == SecurityCapability(0xE0, 0x60)
    assert found == decode_nas(encoded("attachRequest", REQUEST))


def test_an_addition_without_content_is_skipped():
    assert decode_nas(encoded("attachComplete", {"many": None})) == AttachComplete()


def test_an_addition_that_is_cut_off_is_refused():
    octets = encoded("attachRequest", REQUEST | {"later": 5, "much": b"\xff" * 200})
    for size in range(len(octets)):
        with pytest.raises(DecodeError, match="the octets end too early"):
            decode_nas(octets[:size])


def test_an_addition_too_long_for_one_length_is_refused():
    octets = encoded("attachRequest", REQUEST | {"later": 5, "much": bytes(16000)})
    assert decode_nas(octets).attach_type is AttachType.REMOTE_PROVISIONING
    octets = encoded("attachRequest", REQUEST | {"later": 5, "much": bytes(16384)})
    with pytest.raises(DecodeError, match="NasMessage: longer than 16383 octets"):
        decode_nas(octets)
    with pytest.raises(DecodeError, match="attachRequest: an addition in fragments"):
        decode_nas(octets[:1000])


def test_the_sixty_fifth_addition_is_too_many():
    # an encoder writes a bitmap as long as the grammar it knows, so 66 possible additions are refused for any of them
    octets = encoded("detachRequest", {"cause": 0, "switchOff": False, "a0": 1})
    with pytest.raises(DecodeError, match="detachRequest: an addition beyond the 64th"):
        decode_nas(octets)


def test_additions_announced_but_absent_are_refused():
    message = 0b0_01100 << 1 | 1  # attachComplete with its extension bit
    octets = (message << 7 + 1 << 9).to_bytes(3)  # a bitmap of one bit, 0
    with pytest.raises(DecodeError, match="attachComplete: additions are announced but there are none"):
        decode_nas(octets)


@pytest.mark.parametrize(("name", "number"), [("five", 5), ("six", 6)])
def test_an_unknown_item_is_refused_by_path_and_number(name, number):
    with pytest.raises(DecodeError, match=f"^attachRequest.attachType: unknown value {number}$"):
        decode_nas(encoded("attachRequest", REQUEST | {"attachType": name}))


def test_an_unknown_alternative_is_refused_by_path():
    with pytest.raises(DecodeError, match=r"^attachRequest.identity: unknown alternative 4$"):
        decode_nas(encoded("attachRequest", REQUEST | {"identity": ("imei", bytes(8))}))


def test_an_unknown_message_is_refused():
    with pytest.raises(DecodeError, match=r"^NasMessage: unknown alternative 25$"):
        decode_nas(encoded("relay", b"anything"))


def test_a_place_that_the_root_does_not_have_is_refused_too():
    # five bits for 25 alternatives leave seven places free
    for place in range(25, 32):
        with pytest.raises(DecodeError, match=f"^NasMessage: unknown alternative {place}$"):
            decode_nas(bytes((place << 2, 0, 0)))


def test_the_old_message_still_decodes_beside_the_extended_one():
    assert decode_nas(encoded("detachRequest", {"cause": 0, "switchOff": True})) == DetachRequest(0, True)


# --- what rprov itself has added to its first release ----------------------------------------------------------------

ASKED = PduSessionRequest(1, SessionKind.ORDINARY, Dnn("internet"), SNssai(1))
PLAIN = PduSessionRequest(1, SessionKind.ORDINARY)


def older():
    """The grammar without the additions."""
    text = "".join((GRAMMARS / f"rprov-{name}.asn").read_text() for name in ("types", "nas"))
    return asn1tools.compile_string(re.sub(r"\.\.\.,\n[^}]*}", "...\n}", text), "uper")


def test_an_older_release_reads_what_it_knows():
    value = {"sessionId": 1, "kind": "ordinary"}
    for message in (ASKED, PLAIN):
        assert older().decode("NasMessage", encode_nas(message)) == ("pduSessionRequest", value)
    assert older().encode("NasMessage", ("pduSessionRequest", value)) == encode_nas(PLAIN)
    assert decode_nas(encode_nas(PLAIN)) == PLAIN


def test_an_addition_that_is_damaged_is_refused_by_path():
    good = encode_nas(ASKED)
    assert decode_nas(good) == ASKED
    wrong = int.from_bytes(good)
    found = set()
    for bit in range(8 * len(good)):
        try:
            decode_nas((wrong ^ 1 << bit).to_bytes(len(good)))
        except DecodeError as error:
            found.add(str(error))
    assert any(text.startswith("pduSessionRequest.dnn: a DNN is labels") for text in found)
    assert any(text.startswith("pduSessionRequest.sNssai: ") for text in found)
    assert any(text.endswith("padding that is not zero") for text in found)


def test_a_realm_may_be_as_long_as_an_nai_allows():
    for size in (1, 144, 145, 146, 251):  # an open type of 128 octets has a longer length
        request = IdentityResponse(Suci(Plmn("001", "01"), "0", 0, 0, b"a", "r" * size))
        assert decode_nas(encode_nas(request)) == request
