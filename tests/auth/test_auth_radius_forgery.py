"""A client of RADIUS in the storm: crafted answers by the hundred are no answers, and the true one still counts."""

from doubles.pki import seeded

from rprov.auth.radius_exchange import AccessRequest, Sealed
from rprov.crypto.hierarchy import Msk
from rprov.errors import PeerError
from rprov.wire.radius import Attribute, Code, Kind, SharedSecret, encode, seal_answer
from rprov.wire.radius_attributes import mppe_keys, split_eap

SECRET, OTHER = SharedSecret(b"a secret of more than 16"), SharedSecret(b"another one, of a stranger")
ENTROPY = seeded("forgery")
MSK = Msk(bytes(range(64)))
SUCCESS = split_eap(b"\x03\x07\x00\x04")


def sealed(identifier: int = 7) -> Sealed:
    attributes = (Attribute(Kind.STATE, b"s"), *split_eap(b"\x02\x07\x00\x06\x0d\x00"))
    return Sealed.of(AccessRequest(attributes), identifier, ENTROPY(16), SECRET)


def answer(to: Sealed, code: Code = Code.ACCESS_ACCEPT, secret: SharedSecret = SECRET) -> bytes:
    keys = mppe_keys(MSK, ENTROPY(2), to.packet.authenticator, secret)
    return seal_answer(code, to.packet, (*SUCCESS, *keys), secret)


def believed(asked: Sealed, octets: bytes) -> bool:
    try:
        return asked.opened(octets, "server").packet.code is Code.ACCESS_ACCEPT
    except PeerError:
        return False


def crafted(asked: Sealed, true: bytes):
    """What a stranger on the path can send: changed, shortened, of another secret, of another request, replayed."""
    for position in range(len(true)):
        yield true[:position] + bytes((true[position] ^ 1,)) + true[position + 1 :]
        yield true[:position]
    for code in (Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE):
        yield answer(asked, code, OTHER)
        yield answer(sealed(), code)
        yield answer(sealed(8), code)
    yield asked.octets  # the request, reflected
    yield encode(asked.packet)
    yield b""


def test_no_crafted_answer_is_believed_and_none_spoils_the_true_one():
    """CVE-2024-3596 (a forged answer is taken) and CVE-2025-24912 (a crafted one ends the exchange)."""
    asked = sealed()
    true = answer(asked)
    for number, octets in enumerate(crafted(asked, true)):
        assert not believed(asked, octets), number
    opened = asked.opened(true, "server")
    assert opened.msk == MSK
    assert believed(asked, true)
