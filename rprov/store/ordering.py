"""A new order: device, profile and subscriber drawn up together, so that they can only agree. Knows no database.

What is not given is drawn: an IMSI of the network, an ICCID with its check digit, K, OPc and the matching id.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rprov.crypto.aka_functions import subscriber_code
from rprov.errors import ConfigError
from rprov.model.env import Entropy
from rprov.model.identifiers import Eid, Iccid, Imsi, Plmn, luhn_check_digit
from rprov.model.records import Order, SubscriberRecord
from rprov.model.secret import Secret
from rprov.model.security import AkaAlgorithm, AkaMethod
from rprov.provision.profile import ProfileContents, SuciKey, build_profile

ISSUER = "8988211"
"""How drawn ICCIDs begin: telecom (89), a country code for no country (882), and the issuer's number (E.118)."""

_ICCID_DIGITS = 19
_IMSI_DIGITS = 15
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""No letter that looks like a digit: a matching id is typed by people, too."""


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What goes into the stores in one act. `package` is the unprotected profile package: it holds K and OPc."""

    order: Order
    subscriber: SubscriberRecord
    package: bytes

    def __repr__(self) -> str:
        return f"NewOrder({self.order!r}, {self.subscriber!r}, {len(self.package)} octets)"

    def activation_code(self, fqdn: str) -> str:
        """What a person would scan (SGP.22 4.1)."""
        return f"LPA:1${fqdn}${self.order.matching_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What somebody has chosen; the rest is drawn. `op` is an operator's OP (TUAK: TOP), from which `opc` follows."""

    iccid: Iccid | None = None
    imsi: Imsi | None = None
    k: Secret | None = None
    opc: Secret | None = None
    op: Secret | None = None
    algorithm: AkaAlgorithm = AkaAlgorithm.MILENAGE
    method: AkaMethod = AkaMethod.FIVE_G_AKA
    matching_id: str | None = None
    provider: str = "rprov"
    """The name of the operator, as the device shows it."""
    name: str = "rprov profile"
    """The name of the profile."""


def draw_order(
    eid: Eid, home: Plmn, entropy: Entropy, given: Given | None = None, suci_key: SuciKey | None = None
) -> NewOrder:
    """Draw up an order for a device and a subscriber of the network `home`; raises `ConfigError`."""
    given = given or Given()
    imsi = given.imsi or _imsi(home, entropy)
    if not imsi.belongs_to(home):
        raise ConfigError(f"IMSI {imsi} is not of the network {home}")
    order = Order(eid, given.iccid or _iccid(entropy), imsi, given.matching_id or _matching_id(entropy))
    k, opc = _keys(given, entropy)
    contents = ProfileContents(
        iccid=order.iccid,
        imsi=imsi,
        home=home,
        k=k,
        opc=opc,
        name=given.name,
        provider=given.provider,
        suci_key=suci_key,
        algorithm=given.algorithm,
    )
    subscriber = SubscriberRecord(order.supi, k, opc, algorithm=given.algorithm, method=given.method)
    return NewOrder(order, subscriber, build_profile(contents))


def _keys(given: Given, entropy: Entropy) -> tuple[Secret, Secret]:
    """Give K and OPc; those of TUAK are drawn as long as they can be."""
    size = given.algorithm.opc_size
    k = given.k or Secret(entropy(size))
    if given.op is None:
        return k, given.opc or Secret(entropy(size))
    if given.opc is not None:
        raise ConfigError("OP and OPc are given: one follows from the other")
    given.algorithm.check_sizes(len(k), len(given.op))
    return k, subscriber_code(given.algorithm, k, given.op)


def choose_suci_key(public_keys: Mapping[tuple[int, int], bytes]) -> SuciKey | None:
    """Choose the public key, of those by (scheme, id), that new profiles conceal with: Profile B first, the highest id.

    None where the network has no key: then the SUPI travels as it is (null scheme).
    """
    if not public_keys:
        return None
    scheme, key_id = max(public_keys)
    return SuciKey(scheme, key_id, public_keys[scheme, key_id])


def _digits(count: int, entropy: Entropy) -> str:
    return f"{int.from_bytes(entropy(16)) % 10**count:0{count}d}"


def _imsi(home: Plmn, entropy: Entropy) -> Imsi:
    front = home.mcc + home.mnc
    return Imsi(front + _digits(_IMSI_DIGITS - len(front), entropy))


def _iccid(entropy: Entropy) -> Iccid:
    digits = ISSUER + _digits(_ICCID_DIGITS - 1 - len(ISSUER), entropy)
    return Iccid(f"{digits}{luhn_check_digit(digits)}")


def _matching_id(entropy: Entropy) -> str:
    letters = "".join(_ALPHABET[octet % len(_ALPHABET)] for octet in entropy(20))
    return "-".join(letters[index : index + 5] for index in range(0, len(letters), 5))
