"""The JSON binding of ES9+ (SGP.22 6.5): bodies, headers, base64. Both ends use it; neither HTTP nor TLS is known here.

POST /gsma/rsp2/es9plus/<function>   {"transactionId": hex, "<name>": base64 of DER, …}
200  {"header": {"functionExecutionStatus": {"status": …}}, …}     204 for handleNotification
"""

import base64
import binascii
import json
from enum import Enum
from typing import Any

from rprov.errors import DecodeError
from rprov.provision.sgp22.codes import Status

Body = dict[str, Any]
"""A JSON object. Any: it is whatever the other side wrote, until a reader below has looked at it."""

PATH = "/gsma/rsp2/es9plus/"
MAX_BODY = 1 << 20
"""Octets of a body: a bound package of half a MiB in base64, with room to spare."""

_MAX_DEPTH_MARKS = 64


class Function(Enum):
    """The functions of ES9+, as their paths end."""

    INITIATE_AUTHENTICATION = "initiateAuthentication"
    AUTHENTICATE_CLIENT = "authenticateClient"
    BOUND_PROFILE_PACKAGE = "getBoundProfilePackage"
    HANDLE_NOTIFICATION = "handleNotification"
    CANCEL_SESSION = "cancelSession"

    @property
    def path(self) -> str:
        """Where it is posted to."""
        return PATH + self.value


def encode_body(body: Body) -> bytes:
    """Write a body."""
    return json.dumps(body, separators=(",", ":")).encode()


def decode_body(octets: bytes) -> Body:
    """Read a body; raises DecodeError whatever the octets."""
    if len(octets) > MAX_BODY:
        raise DecodeError(f"a body of more than {MAX_BODY} octets")
    # Bodies of ES9+ nest four deep. More is an attempt on the parser's stack, and is not parsed at all.
    if octets.count(b"{") + octets.count(b"[") > _MAX_DEPTH_MARKS:
        raise DecodeError("a body that nests too much")
    try:
        body = json.loads(octets)
    except (ValueError, RecursionError) as error:
        raise DecodeError("a body that is not JSON") from error
    if not isinstance(body, dict):
        raise DecodeError("a body that is not a JSON object")
    return body


# --- members ---------------------------------------------------------------------------------------------------------


def text_of(body: Body, name: str, limit: int = 255) -> str:
    """Read a text member; raises DecodeError."""
    value = body.get(name)
    if not isinstance(value, str) or len(value) > limit:
        raise DecodeError(f"{name} is missing, or not text of at most {limit} characters")
    return value


def octets_of(body: Body, name: str) -> bytes:
    """Read a base64 member; raises DecodeError."""
    value = text_of(body, name, MAX_BODY)
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DecodeError(f"{name} is not base64") from error


def base64_of(octets: bytes) -> str:
    """Write a base64 member."""
    return base64.b64encode(octets).decode("ascii")


def transaction_of(body: Body) -> bytes:
    """Read the transactionId, hexadecimal of either case; raises DecodeError."""
    value = text_of(body, "transactionId", 32)
    try:
        octets = bytes.fromhex(value)
    except ValueError as error:
        raise DecodeError("transactionId is not hexadecimal") from error
    if not octets:
        raise DecodeError("transactionId is empty")
    return octets


def transaction_text(transaction_id: bytes) -> str:
    """Write a transactionId."""
    return transaction_id.hex().upper()


# --- headers of answers ----------------------------------------------------------------------------------------------


def success(**members: str) -> Body:
    """An answer that says yes."""
    return {"header": {"functionExecutionStatus": {"status": "Executed-Success"}}, **members}


def failure(status: Status, detail: str = "") -> Body:
    """An answer that says no; it still travels with HTTP 200 (SGP.22 6.3)."""
    data = {
        "subjectCode": status.subject,
        "reasonCode": status.reason,
        "message": f"{status.text}: {detail}" if detail else status.text,
    }
    return {"header": {"functionExecutionStatus": {"status": "Failed", "statusCodeData": data}}}


def refusal_of(body: Body) -> Status | None:
    """Read an answer's header: None when the function was executed, else what the server says. Raises DecodeError."""
    header = body.get("header")
    execution = header.get("functionExecutionStatus") if isinstance(header, dict) else None
    if not isinstance(execution, dict):
        raise DecodeError("an answer without functionExecutionStatus")
    status = text_of(execution, "status")
    if status in ("Executed-Success", "Executed-WithWarning"):
        return None
    data = execution.get("statusCodeData")
    if not isinstance(data, dict):
        return Status("?", "?", f"the server says {_printable(status)} and no code")
    message = data.get("message")
    words = _printable(message) if isinstance(message, str) else status
    subject, reason = (_printable(text_of(data, name, 32)) for name in ("subjectCode", "reasonCode"))
    return Status(subject, reason, words)


def _printable(text: str) -> str:
    """Text of a stranger, fit for a terminal."""
    return "".join(char if char.isprintable() else "?" for char in text[:200])
