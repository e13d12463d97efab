"""How each kind of single value in a configuration is read from its characters, written, and asked for.

A reader raises `ValueError` without a text for "something else was expected", with a text where it knows better, or
`DecodeError`. Refuses to know the file that a value stands in: `config.py` makes paths relative to it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from ipaddress import AddressValueError, IPv4Address, IPv4Network, ip_address
from pathlib import Path
from typing import Any

from rprov.model.aaa_client import EidAttribute
from rprov.model.identifiers import Dnn, Eid, Plmn, SNssai
from rprov.model.kinds import DatabaseUrl, EidPrefix, Endpoint, Fqdn, Host, KeyId, ReadPath
from rprov.model.revocation import RevocationCheck
from rprov.model.sctp import Carrier
from rprov.model.sections import (
    LogFormat,
    LogLevel,
    SuciScheme,
    TransportProtocol,
)
from rprov.model.security import Nea, Nia
from rprov.model.session import ProvisioningProtocol
from rprov.model.settings import CredentialKind, Plan
from rprov.model.tls import TlsGroup, TlsSuite, TlsVersion
from rprov.model.tracing import TraceSecrets
from rprov.model.trust import (
    DeviceRoles,
)

_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_POSTGRESQL = re.compile(
    r"postgresql\+psycopg://([^:@/?#]+(?P<password>:[^@/?#]*)?@)?[^:@/?#]*(:[0-9]+)?/[^/?#]+(\?(?P<options>[^#]*))?"
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """One kind of value. `bare`: quotes would make it another kind."""

    expected: str
    parse: Callable[[str], Any]
    plain: Callable[[Any], Any] = str
    bare: bool = False


def _text(text: str) -> str:
    if not (1 <= len(text) <= 64 and text.isprintable()):
        raise ValueError
    return text


def _whole(text: str) -> int:
    if not re.fullmatch(r"0|-?[1-9][0-9]{0,18}", text):
        raise ValueError
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,18})?", text):
        raise ValueError
    return float(text)


def _yes_or_no(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


def _host(text: str) -> Host:
    try:
        return Host(str(ip_address(text)))
    except ValueError:
        return Host(_fqdn(text))


def _fqdn(text: str) -> Fqdn:
    # a name that ends in digits only would be taken for an address
    if len(text) > 253 or not _NAME.fullmatch(text) or text.rsplit(".", 1)[-1].isdigit():
        raise ValueError
    return Fqdn(text)


def _endpoint(text: str) -> Endpoint:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError
    return Endpoint(_host(host.removeprefix("[").removesuffix("]")), int(port))


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError:
        raise ValueError from None


def _network(text: str) -> IPv4Network:
    address, slash, bits = text.partition("/")
    if not slash or not re.fullmatch(r"[0-9]|[12][0-9]|3[0-2]", bits):
        raise ValueError
    network = IPv4Network((_address(address), int(bits)), strict=False)
    if str(network) != text:
        raise ValueError(f"{text} is an address in a network: the network is {network}")
    return network


def _key_id(text: str) -> KeyId:
    if not re.fullmatch(r"[0-9A-Fa-f]{40}", text):
        raise ValueError
    return KeyId(bytes.fromhex(text))


def _eid_prefix(text: str) -> EidPrefix:
    if not re.fullmatch(r"[0-9]{1,32}", text):
        raise ValueError
    return EidPrefix(text)


def _path(text: str) -> Path:
    if not text or "\0" in text:
        raise ValueError
    return Path(text)


def _database_url(text: str) -> DatabaseUrl:
    if text in ("sqlite://", "sqlite:///:memory:"):
        return DatabaseUrl("sqlite://")
    if re.fullmatch(r"sqlite:///[^?\0]+", text):
        return DatabaseUrl(text)
    url = _POSTGRESQL.fullmatch(text)
    if url is None:
        raise ValueError
    if url["password"] is not None or "password=" in (url["options"] or ""):
        raise ValueError("a password does not belong in a configuration: use PGPASSFILE")
    return DatabaseUrl(text)


def _choice(noun: str, choices: Mapping[str, Enum]) -> Scalar:
    expected = f"one of {', '.join(choices)}"

    def parse(text: str) -> Enum:
        if text not in choices:
            raise ValueError(f'unknown {noun} "{text}" (expected {expected})')
        return choices[text]

    names = {member: text for text, member in choices.items()}
    return Scalar(expected, parse, names.__getitem__)


def _by_value(kind: type[StrEnum]) -> Mapping[str, Enum]:
    return {member.value: member for member in kind}


def _by_name(kind: type[Enum]) -> Mapping[str, Enum]:
    return {member.name.lower(): member for member in kind}


SCALARS: Mapping[Any, Scalar] = {
    str: Scalar("text of 1 to 64 characters", _text),
    int: Scalar("a whole number", _whole, int, bare=True),
    float: Scalar("a number", _number, float, bare=True),
    bool: Scalar("true or false", _yes_or_no, bool, bare=True),
    Plmn: Scalar("a network, MCC-MNC", lambda text: Plmn.parse(text)),
    Dnn: Scalar("a data network's name, labels with dots between them", lambda text: Dnn.parse(text)),
    SNssai: Scalar("a slice, SST or SST-SD", lambda text: SNssai.parse(text)),
    Eid: Scalar("an EID of 32 digits", lambda text: Eid.parse(text)),
    Host: Scalar("a host name or an address", _host),
    Fqdn: Scalar("a domain name", _fqdn),
    Endpoint: Scalar("HOST:PORT", _endpoint),
    IPv4Address: Scalar("an IPv4 address", _address),
    IPv4Network: Scalar("an IPv4 network, ADDRESS/PREFIX", _network),
    KeyId: Scalar("a key identifier of 40 hexadecimal digits", _key_id, lambda value: value.hex()),
    EidPrefix: Scalar("1 to 32 digits", _eid_prefix),
    Path: Scalar("a path", _path),
    ReadPath: Scalar("a path", _path),
    DatabaseUrl: Scalar("sqlite:///FILE, sqlite:// (memory) or postgresql+psycopg://USER@HOST/NAME", _database_url),
    Nea: _choice("algorithm", {member.name: member for member in Nea}),
    Nia: _choice("algorithm", {member.name: member for member in Nia if member is not Nia.NIA0}),
    ProvisioningProtocol: _choice("protocol", _by_name(ProvisioningProtocol)),
    TransportProtocol: _choice("protocol", _by_value(TransportProtocol)),
    SuciScheme: _choice("scheme", _by_name(SuciScheme)),
    DeviceRoles: _choice("role", _by_value(DeviceRoles)),
    EidAttribute: _choice("attribute", _by_value(EidAttribute)),
    RevocationCheck: _choice("check", _by_value(RevocationCheck)),
    CredentialKind: _choice("kind", _by_value(CredentialKind)),
    Plan: _choice("plan", _by_value(Plan)),
    TlsVersion: _choice("version", _by_value(TlsVersion)),
    TlsGroup: _choice("group", _by_value(TlsGroup)),
    TlsSuite: _choice("suite", _by_value(TlsSuite)),
    Carrier: _choice("transport", _by_value(Carrier)),
    LogLevel: _choice("level", _by_value(LogLevel)),
    TraceSecrets: _choice("way", _by_value(TraceSecrets)),
    LogFormat: _choice("format", _by_value(LogFormat)),
}
"""Every kind of single value that settings are made of."""
