"""What a person wants to know of a message at a glance: a few words from its members. Knows no chart."""

from typing import Any

from rprov.errors import DecodeError
from rprov.wire import eap
from rprov.wire.eap_tls import decode_fragment

REFUSALS = ("Reject", "Failure", "Malformed")
"""How the names of messages end that refuse something."""

_EAP_NAMES = {eap.EapType.TLS: "EAP-TLS", eap.EapType.AKA_PRIME: "EAP-AKA'"}


def about(message: str, fields: dict[str, Any]) -> str:
    """Say the most telling members of a message."""
    words = [*_identity(fields), *_algorithms(message, fields), *_carried(fields)]
    for name in ("kind", "scope", "address", "bearer", "cause", "error"):
        if isinstance(value := fields.get(name), str | int) and not isinstance(value, bool):
            words.append(_spoken(name, value))
    match fields:
        case {"add": {"bearer": bearer}}:
            words.append(f"adds bearer {bearer}")
        case {"release": bearer}:
            words.append(f"releases bearer {bearer}")
        case {"uplink": {"teid": teid}} | {"downlink": {"teid": teid}}:
            words.append(f"TEID {teid:08x}")
        case {"ran_name": name} | {"cp_name": name}:
            words.append(str(name))
    if message in ("ProtectedNas", "ProtectedSrb") and isinstance(number := _security(fields), int):
        words.append(f"number {number}")
    return ", ".join(words)


def _identity(fields: dict[str, Any]) -> list[str]:
    words = [_lower(fields["attach_type"])] if "attach_type" in fields else []
    match fields.get("identity"):
        case {"Eid": eid}:
            words.append(f"EID {eid}")
        case {"EidHint": hint}:
            words.append(f"an EID of {hint}…")
        case {"Suci": {"scheme": scheme}}:
            words.append("SUCI in clear" if scheme == 0 else "SUCI, concealed")
        case {"Guti": {"tmsi": tmsi}}:
            words.append(f"GUTI …{tmsi:08x}")
    if "identity_type" in fields:
        words.append(str(fields["identity_type"]))
    return words


def _algorithms(message: str, fields: dict[str, Any]) -> list[str]:
    if not message.endswith("SecurityModeCommand"):
        return []
    return [str(fields[name]) for name in ("nea", "nia") if name in fields]


def _carried(fields: dict[str, Any]) -> list[str]:
    """Say what a message carries of EAP or AKA."""
    for name in ("challenge", "answer"):
        match fields.get(name):
            case {"Eap": {"packet": str(packet)}}:
                return [_eap(packet)]
            case {"AkaChallenge": _} | {"AkaAnswer": _}:
                return ["5G AKA"]
    match fields.get("eap"):
        case {"packet": str(packet)}:
            return [_eap(packet)]
    return []


def _eap(packet: str) -> str:
    try:
        found = eap.decode(bytes.fromhex(packet))
        if not isinstance(found, eap.Request | eap.Response):
            return f"EAP-{type(found).__name__}"
        if found.type != eap.EapType.TLS:
            known = [name for kind, name in _EAP_NAMES.items() if kind == found.type]
            return known[0] if known else f"EAP type {found.type}"
        piece = decode_fragment(found.data)
    except DecodeError:
        return "EAP that cannot be read"
    if piece.start:
        return "EAP-TLS start"
    if not piece.data:
        return "EAP-TLS, nothing more"
    return f"EAP-TLS, {len(piece.data)} octets{', more to come' if piece.more else ''}"


def _spoken(name: str, value: str | int) -> str:
    match name:
        case "bearer":
            return f"bearer {value}"
        case "cause" | "kind" | "scope":
            return _lower(str(value))
        case _:
            return str(value)


def _security(fields: dict[str, Any]) -> object:
    security = fields.get("security")
    return security.get("sequence_number") if isinstance(security, dict) else None


def _lower(name: str) -> str:
    return name.lower().replace("_", " ")
