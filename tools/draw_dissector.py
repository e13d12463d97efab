"""Writes tools/wireshark/rprov.lua, the dissector for Wireshark, from the grammars and from what the code knows.

    python tools/draw_dissector.py           writes the file; tests/wire/test_wire_dissector.py says when it is stale

Tables come from the grammars that the codecs of `rprov/wire` are compiled of, from their enumerations, and from the
constants beside them; the reader of UPER and what Wireshark shows stand in tools/dissector/*.lua.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from draw_messages import read_grammar  # noqa: E402

from rprov.causes import Cause  # noqa: E402
from rprov.model.identifiers import CpUeId, RanUeId, UeRadioId  # noqa: E402
from rprov.model.numbers import Port, Ppid  # noqa: E402
from rprov.model.security import Nea, Nia, Scope  # noqa: E402
from rprov.model.session import ProvisioningProtocol, SessionKind  # noqa: E402
from rprov.security.envelope import MAC_SIZE, MAX_PDU, ProtectedPdu, SecurityHeader  # noqa: E402
from rprov.security.pdcp import DRB_SN_BITS, SRB_SN_BITS  # noqa: E402
from rprov.security.policy import CELL_RRC, PLAIN_NAS, PLAIN_RRC  # noqa: E402
from rprov.trace.eap_seen import PDCP_HEADER, PDCP_MAC  # noqa: E402
from rprov.wire import radio_user  # noqa: E402
from rprov.wire.asn1 import load  # noqa: E402
from rprov.wire.eap import Code  # noqa: E402
from rprov.wire.framing import HEADER_SIZE, MAX_PAYLOAD  # noqa: E402
from rprov.wire.link import N2Frame, N2Kind  # noqa: E402
from rprov.wire.messages import AttachType, IdentityType  # noqa: E402
from rprov.wire.radio import RadioFrame, RadioMessage, SrbKind  # noqa: E402
from rprov.wire.uper_compile import MAX_OCTETS, Description, Grammar  # noqa: E402

TARGET = ROOT / "tools" / "wireshark" / "rprov.lua"
PARTS = ("uper.lua", "dissector.lua")

INTERFACES = (
    ("nas", "rprov-nas", "NasMessage"),
    ("n2", "rprov-link", "LinkMessage"),
    ("radio", "rprov-radio", "RadioMessage"),
)
"""Protocol, grammar and CHOICE of all messages."""

ENUMERATIONS: Mapping[str, type[IntEnum]] = {
    kind.__name__: kind for kind in (AttachType, IdentityType, Nea, Nia, ProvisioningProtocol, Scope, SessionKind)
}

SHOWS = {
    "Eid": ("digits", "string"),
    "EidHint": ("digits", "string"),
    "Plmn": ("plmn", "string"),
    "Dnn": ("labels", "string"),
    "SNssai": ("slice", "string"),
    "Ipv4Address": ("ipv4", "ipv4"),
    "GnbKey": ("key", "bytes"),
    "Eap": ("eap", "bytes"),
    "Cause": ("cause", "uint8"),
    "Nea": ("nea", "uint8"),
    "TunnelEnd": ("tunnel", "none"),
}
"""Types that people write in a way of their own, or that mean more than their bits: how, and the kind of field."""

OCTETS_AS_BYTES = ("key", "eap", "request")

LABELS = {
    "eid": "EID",
    "eid_hint": "EID hint",
    "suci": "SUCI",
    "guti": "GUTI",
    "ksi": "ngKSI",
    "plmn": "PLMN",
    "tmsi": "TMSI",
    "cp": "CP",
    "nea": "Ciphering (NEA)",
    "nia": "Integrity (NIA)",
    "eap": "EAP",
    "aka": "AKA",
    "rand": "RAND",
    "autn": "AUTN",
    "auts": "AUTS",
    "res_star": "RES*",
    "abba": "ABBA",
    "dnn": "DNN",
    "s_nssai": "S-NSSAI",
    "mtu": "MTU",
    "dns": "DNS",
    "fqdn": "FQDN",
    "t3512": "T3512",
    "k_gnb": "K_gNB",
    "teid": "TEID",
    "ran": "RAN",
    "ue": "UE",
    "ran_name": "RAN name",
    "cp_name": "CP name",
    "cell_id": "Cell id",
    "ue_radio_id": "ueRadioId",
    "attach_request": "AttachRequest as it was sent",
}


@dataclass(frozen=True)
class Field:
    """A field of Wireshark's: its name in filters, its kind, its label, the table of its values, what it means."""

    proto: str
    name: str
    kind: str
    label: str
    values: str = ""
    meaning: str = ""
    hexadecimal: bool = False


def header_fields() -> Iterator[Field]:
    """Give the fields that no grammar has: fixed headers, and what the dissector says itself."""
    for proto, root in (("nas", "NasMessage"), ("n2", "LinkMessage"), ("radio", "RadioMessage")):
        yield Field(f"rprov.{proto}", f"rprov.{proto}.type", "uint8", "Message type", root, "its place in the CHOICE")
        yield Field(f"rprov.{proto}", f"rprov.{proto}.message", "string", "Message", "", "its name")
    for proto in ("rprov", "rprov.nas", "rprov.n2", "rprov.radio", "rprov.user"):
        yield Field(proto, f"{proto}.malformed", "string", "Malformed", "", "why rprov does not take it")
    yield Field("rprov", "rprov.length", "uint32", "Length", "", "octets of the message")
    yield Field("rprov", "rprov.stream", "uint16", "Stream")
    yield Field("rprov", "rprov.ppid", "uint32", "Payload protocol identifier", "Ppid", "", True)
    yield Field("rprov.nas", "rprov.nas.header", "uint8", "Security header type", "SecurityHeader")
    yield Field("rprov.nas", "rprov.nas.mac", "bytes", "MAC")
    yield Field("rprov.nas", "rprov.nas.sequence_number", "uint8", "Sequence number")
    yield Field("rprov.nas", "rprov.nas.ciphertext", "bytes", "Ciphertext")
    yield Field("rprov.n2", "rprov.n2.ran_ue_id", "uint32", "ranUeId", "", "the UE as the RAN calls it", True)
    yield Field("rprov.n2", "rprov.n2.cp_ue_id", "uint32", "cpUeId", "", "the UE as the CP calls it", True)
    yield Field("rprov.n2", "rprov.n2.kind", "uint8", "Kind", "N2Kind", "what follows the header")
    yield Field("rprov.radio", "rprov.radio.ue_radio_id", "uint32", "ueRadioId", "", "", True)
    yield Field("rprov.radio", "rprov.radio.kind", "uint8", "Kind", "SrbKind", "what the SRB carries")
    yield Field("rprov.radio", "rprov.radio.sequence_number", "uint16", "PDCP sequence number")
    yield Field("rprov.radio", "rprov.radio.mac", "bytes", "MAC-I", "", "zeros before there is AS security")
    yield Field("rprov.radio", "rprov.radio.ciphertext", "bytes", "Ciphertext")
    yield Field("rprov.user", "rprov.user.ue_radio_id", "uint32", "ueRadioId", "", "", True)
    yield Field("rprov.user", "rprov.user.bearer", "uint8", "Bearer")
    yield Field("rprov.user", "rprov.user.sequence_number", "uint32", "PDCP sequence number")
    yield Field("rprov.user", "rprov.user.ciphertext", "bytes", "Ciphertext and MAC-I")


class Dissector:
    """The tables of one or several grammars, filled by one walk over each."""

    def __init__(self) -> None:
        self.types: dict[str, dict[str, Any]] = {}
        self.fields: dict[str, Field] = {field.name: field for field in header_fields()}
        self.values: dict[str, dict[int, str]] = {
            "Cause": {item.value: item.name for item in Cause},
            **{name: {item.value: item.name for item in kind} for name, kind in ENUMERATIONS.items()},
            **{
                kind.__name__: {item.value: item.name for item in kind}
                for kind in (N2Kind, SrbKind, SecurityHeader, Ppid)
            },
        }

    def add(self, proto: str, grammar_name: str, root: str) -> None:
        """Take in the messages of one interface."""
        grammar = load("rprov-types", grammar_name)
        meanings = _meanings(grammar_name.removeprefix("rprov-"))
        alternatives = _around_ellipsis(grammar[root]["members"])[0]
        self.values[root] = {place: item["type"] for place, item in enumerate(alternatives)}
        self._type(grammar, root)
        for item in alternatives:
            self._members(grammar, meanings, proto, f"rprov.{proto}.", item["type"])

    def _type(self, grammar: Grammar, name: str) -> str:
        """Describe a type that has a name, once."""
        if name not in self.types:
            self.types[name] = {}
            described = self._described(grammar, grammar[name], name)
            if name in SHOWS:
                described["show"] = SHOWS[name][0]
            self.types[name] = described
        return name

    def _described(self, grammar: Grammar, description: Description, name: str) -> Any:
        match description["type"]:
            case "INTEGER":
                ((lower, upper),) = description["restricted-to"]
                width = (upper - lower).bit_length()
                # More than a number of Lua holds; the reader takes such a one as it is.
                bounds = {} if width > 48 else {"lower": lower, "upper": upper}
                return {"kind": "integer", "width": width} | bounds
            case "BOOLEAN":
                return {"kind": "boolean"}
            case "BIT STRING":
                return {"kind": "bits", "width": _size(description)[0]}
            case "OCTET STRING":
                return {"kind": "octets"} | _sized(description)
            case "NumericString":
                return {"kind": "characters", "alphabet": "numeric", "each": 4} | _sized(description)
            case "VisibleString":
                return {"kind": "characters", "alphabet": "visible", "each": 7} | _sized(description)
            case "ENUMERATED":
                numbers = sorted(number for _, number in _around_ellipsis(description["values"])[0])
                if numbers != [int(item) for item in ENUMERATIONS[name]]:
                    raise SystemExit(f"{name}: its items are not those of its class")
                return {"kind": "enumerated", "width": 1 + (len(numbers) - 1).bit_length(), "numbers": numbers}
            case "SEQUENCE OF":
                element = self._described(grammar, description["element"], f"{name}[]")
                return {"kind": "list", "element": element} | _sized(description)
            case "CHOICE":
                items, _ = _around_ellipsis(description["members"])
                return {
                    "kind": "choice",
                    "width": 1 + (len(items) - 1).bit_length(),
                    "alternatives": [self._member(grammar, item) for item in items],
                }
            case "SEQUENCE":
                root, added = _around_ellipsis(description["members"])
                return {
                    "kind": "sequence",
                    "members": [self._member(grammar, item) for item in root],
                    "additions": [self._member(grammar, item) for item in added],
                }
            case str(other) if other in grammar:
                return self._type(grammar, other)
            case other:
                raise SystemExit(f"{name}: {other} is not built")

    def _member(self, grammar: Grammar, item: Description) -> dict[str, Any]:
        name = _snake(item["name"])
        described = self._described(grammar, item, item["name"])
        if name == "attach_request" and isinstance(described, dict):
            described["show"] = "request"
        if name in ("nea", "nia") and isinstance(described, dict):
            described["show"] = "capability"
        member = {"name": name, "type": described}
        return member | {"optional": True} if item.get("optional") else member

    # --- fields -----------------------------------------------------------------------------------------------------

    def _members(self, grammar: Grammar, meanings: Mapping[str, str], proto: str, prefix: str, name: str) -> None:
        root, added = _around_ellipsis(grammar[name]["members"])
        for item in (*root, *added):
            self._field(grammar, meanings, proto, prefix, name, item)

    def _field(
        self, grammar: Grammar, meanings: Mapping[str, str], proto: str, prefix: str, owner: str, item: Description
    ) -> None:
        """Add the field of a member and of all that is in it."""
        kind_name = item["type"]
        while kind_name == "SEQUENCE OF":
            kind_name = item["element"]["type"]
        described = grammar.get(kind_name, item)
        if described["type"] == "CHOICE":  # the alternative stands in its place
            for alternative in _around_ellipsis(described["members"])[0]:
                self._field(grammar, meanings, proto, prefix, kind_name, alternative)
            return
        name = _snake(item["name"])
        kind, values = _kind(kind_name, described)
        meaning = meanings.get(f"{owner}.{item['name']}", "")
        field = Field(f"rprov.{proto}", prefix + name, kind, LABELS.get(name, _label(name)), values, meaning)
        if described["type"] == "BIT STRING":
            field = replace(field, hexadecimal=True)
        self._add(field)
        if described["type"] == "SEQUENCE":
            self._members(grammar, meanings, proto, f"{prefix}{name}.", kind_name)

    def _add(self, field: Field) -> None:
        known = self.fields.setdefault(field.name, field)
        if (known.kind, known.values) != (field.kind, field.values):
            raise SystemExit(f"{field.name} is two things: {known.kind} {known.values}, {field.kind} {field.values}")
        if known.meaning != field.meaning:  # of several members
            self.fields[field.name] = replace(known, meaning="")


def _kind(name: str, description: Description) -> tuple[str, str]:
    """Give the kind of field, and the table of its values."""
    if name in SHOWS:
        values = name if name in ENUMERATIONS or name == "Cause" else ""
        return SHOWS[name][1], values
    match description["type"]:
        case "ENUMERATED":
            return "uint8", name
        case "INTEGER":
            ((_, upper),) = description["restricted-to"]
            return ("uint32" if upper < 1 << 32 else "uint64"), ""
        case "BIT STRING":
            return "uint8", ""
        case "BOOLEAN":
            return "bool", ""
        case "OCTET STRING":
            return "bytes", ""
        case "SEQUENCE":
            return "none", ""
        case _:
            return "string", ""


def _meanings(grammar: str) -> Mapping[str, str]:
    return {
        f"{item.name}.{member.name}": member.meaning
        for name in ("types", grammar)
        for item in read_grammar(name)
        for member in item.members
    }


def _around_ellipsis(items: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    place = list(items).index(None)
    return list(items[:place]), list(items[place + 1 :])


def _size(description: Description) -> tuple[int, int]:
    (size,) = description["size"]
    return size if isinstance(size, tuple) else (size, size)


def _sized(description: Description) -> dict[str, int]:
    least, most = _size(description)
    return {"least": least, "most": most, "width": (most - least).bit_length()}


def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name)


def _label(name: str) -> str:
    text = name.replace("_", " ")
    return text[0].upper() + text[1:]


# --- Lua --------------------------------------------------------------------------------------------------------------


def lua(value: Any, indent: int = 0) -> str:
    """Write a value of Python's as one of Lua's."""
    pad = "    " * (indent + 1)
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case list():
            if all(isinstance(item, int) for item in value):
                return "{ " + ", ".join(map(str, value)) + " }" if value else "{}"
            return "{\n" + "".join(f"{pad}{lua(item, indent + 1)},\n" for item in value) + "    " * indent + "}"
        case dict():
            if not any(isinstance(item, dict | list) for item in value.values()) and all(
                isinstance(key, str) for key in value
            ):
                return "{ " + ", ".join(f"{key} = {lua(item)}" for key, item in value.items()) + " }"
            return (
                "{\n"
                + "".join(f"{pad}{_key(key)} = {lua(item, indent + 1)},\n" for key, item in value.items())
                + "    " * indent
                + "}"
            )
        case _:
            raise TypeError(type(value))


def _key(key: str | int) -> str:
    return key if isinstance(key, str) else f"[{key}]"


def _names(kinds: Iterator[type] | Sequence[type]) -> dict[str, bool]:
    return dict.fromkeys(sorted({kind.__name__ for kind in kinds}), True)


def _numbers(kind: type[IntEnum]) -> dict[str, int]:
    return {item.name: int(item) for item in kind}


def constants() -> dict[str, Any]:
    """Give what the code knows beside the grammars."""
    nothing = b""
    return {
        "MAX_OCTETS": MAX_OCTETS,
        "MAX_NAS_PDU": MAX_PDU,
        "MAX_FRAME": MAX_PAYLOAD,
        "FRAME_HEADER": HEADER_SIZE,
        "N2_HEADER": len(N2Frame(RanUeId(0), CpUeId(0), N2Kind.CONTROL, nothing).encode()),
        "RADIO_HEADER": len(RadioFrame(UeRadioId(0), nothing).encode()),
        "USER_HEADER": radio_user.HEADER_OCTETS,
        "NAS_MAC": MAC_SIZE,
        "NAS_HEADER": len(ProtectedPdu(SecurityHeader.INTEGRITY, bytes(MAC_SIZE), 0, nothing).encode()),
        "SRB_HEADER": PDCP_HEADER,
        "SRB_SN_BITS": SRB_SN_BITS,
        "DRB_HEADER": DRB_SN_BITS + 7 >> 3,
        "DRB_SN_BITS": DRB_SN_BITS,
        "PDCP_MAC": PDCP_MAC,
        "EAP_RESPONSE": int(Code.RESPONSE),
        "NULL_CIPHERING": int(Nea.NEA0),
        "PORTS": {name: int(Port[name]) for name in ("RADIO", "RADIO_USER", "N2")},
        "PPIDS": {name: int(Ppid[name]) for name in ("RADIO", "N2", "TLS", "HEARTBEAT")},
        "N2_KINDS": _numbers(N2Kind),
        "SRB_KINDS": _numbers(SrbKind),
        "HEADERS": _numbers(SecurityHeader),
        "CIPHERED": {int(item): True for item in SecurityHeader if item.ciphered},
        "PLAIN_NAS": _names([kind for kinds in PLAIN_NAS.values() for kind in kinds]),
        "PLAIN_RRC": _names([kind for kinds in PLAIN_RRC.values() for kind in kinds]),
        "CELL_RRC": _names([kind for kinds in CELL_RRC.values() for kind in kinds]),
        "AS_SECURITY_MODE": _names([kind for kind in RadioMessage.__args__ if kind.__name__.startswith("AsSecurity")]),
        "PREFIXES": {root: f"rprov.{proto}." for proto, _, root in INTERFACES},
        "CAUSE_TEXTS": {item.value: item.text for item in Cause},
    }


def render() -> str:
    """Give the whole file."""
    drawn = Dissector()
    for proto, grammar, root in INTERFACES:
        drawn.add(proto, grammar, root)
    fields = "".join(
        f"    {{ {lua(item.name)}, {lua(item.kind)}, {lua(item.label)}, {lua(item.values)}, {lua(item.meaning)}, "
        f"proto = {lua(item.proto)}{', hex = true' if item.hexadecimal else ''} }},\n"
        for item in drawn.fields.values()
    )
    parts = [_HEAD]
    parts += [f"local {name} = {lua(value)}" for name, value in constants().items()]
    parts.append(f"-- What numbers are called.\nlocal VALUES = {lua(drawn.values)}")
    parts.append(f"-- The types of the grammars, as UPER has them.\nlocal TYPES = {lua(drawn.types)}")
    parts.append(f"-- Name, kind, label, values, meaning.\nlocal FIELD_LIST = {{\n{fields}}}")
    parts += [(ROOT / "tools" / "dissector" / name).read_text(encoding="utf-8").rstrip("\n") for name in PARTS]
    return "\n\n".join(parts) + "\n"


_HEAD = """-- A dissector for Wireshark of what rprov's nodes say; docs/how-to/wireshark.md tells how it is used.
-- Generated by tools/draw_dissector.py from asn1/*.asn, rprov/wire and tools/dissector/*.lua: do not edit."""


def main() -> None:
    """Write the file."""
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(render(), encoding="utf-8")
    print(f"{TARGET.relative_to(ROOT)} written")


if __name__ == "__main__":
    main()
