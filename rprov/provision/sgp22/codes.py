"""Numbers of SGP.22 and what each means to a person: card errors, cancel reasons, ES9+ status codes."""

from dataclasses import dataclass
from enum import IntEnum

ISD_R = bytes.fromhex("A0000005591010FFFFFFFF8900000100")
"""AID of the ISD-R (SGP.02 2.2.3)."""


class AuthenticateError(IntEnum):
    """AuthenticateErrorCode (SGP.22 5.7.13)."""

    INVALID_CERTIFICATE = 1
    INVALID_SIGNATURE = 2
    UNSUPPORTED_CURVE = 3
    NO_SESSION = 4
    INVALID_OID = 5
    CHALLENGE_MISMATCH = 6
    UNKNOWN_CI = 7
    UNDEFINED = 127


class PrepareError(IntEnum):
    """DownloadErrorCode (SGP.22 5.7.5)."""

    INVALID_CERTIFICATE = 1
    INVALID_SIGNATURE = 2
    UNSUPPORTED_CURVE = 3
    NO_SESSION = 4
    INVALID_TRANSACTION_ID = 5
    UNDEFINED = 127


class CancelError(IntEnum):
    """CancelSessionErrorCode (SGP.22 5.7.14)."""

    INVALID_TRANSACTION_ID = 5
    UNDEFINED = 127


class CancelReason(IntEnum):
    """CancelSessionReason (SGP.22 5.7.14)."""

    END_USER_REJECTION = 0
    POSTPONED = 1
    TIMEOUT = 2
    PPR_NOT_ALLOWED = 3
    METADATA_MISMATCH = 4
    LOAD_BPP_ERROR = 5
    UNDEFINED = 127


class BppCommand(IntEnum):
    """Which part of a bound profile package failed (SGP.22 2.5.6)."""

    INITIALISE_SECURE_CHANNEL = 0
    CONFIGURE_ISDP = 1
    STORE_METADATA = 2
    STORE_METADATA_2 = 3
    REPLACE_SESSION_KEYS = 4
    LOAD_PROFILE_ELEMENTS = 5


class BppError(IntEnum):
    """Why it failed (SGP.22 2.5.6)."""

    INCORRECT_INPUT = 1
    INVALID_SIGNATURE = 2
    INVALID_TRANSACTION_ID = 3
    UNSUPPORTED_CRT_VALUES = 4
    UNSUPPORTED_OPERATION_TYPE = 5
    UNSUPPORTED_PROFILE_CLASS = 6
    STRUCTURE = 7
    SECURITY = 8
    ICCID_EXISTS = 9
    INSUFFICIENT_MEMORY = 10
    INTERRUPTION = 11
    PROFILE_ELEMENT = 12
    ICCID_MISMATCH = 13
    TEST_PROFILE_KEY = 14
    PPR_NOT_ALLOWED = 15
    UNKNOWN = 127


class StateChange(IntEnum):
    """Result of enable, disable and delete (SGP.22 5.7.16 to 5.7.18)."""

    OK = 0
    NOT_FOUND = 1
    WRONG_STATE = 2
    DISALLOWED_BY_POLICY = 3
    WRONG_REENABLING = 4
    CAT_BUSY = 5
    UNDEFINED = 127


_MEANING: dict[type[IntEnum], dict[int, str]] = {
    AuthenticateError: {
        AuthenticateError.INVALID_CERTIFICATE: (
            "the SM-DP+'s certificate is not valid: not under the chosen CI, out of date, or not of the role it needs"
        ),
        AuthenticateError.INVALID_SIGNATURE: "the SM-DP+'s signature does not verify",
        AuthenticateError.UNSUPPORTED_CURVE: "the SM-DP+'s key is on an unsupported curve",
        AuthenticateError.NO_SESSION: "the card has no session open",
        AuthenticateError.INVALID_OID: "the SM-DP+'s OID is not the expected one",
        AuthenticateError.CHALLENGE_MISMATCH: "the SM-DP+ signed another card's challenge",
        AuthenticateError.UNKNOWN_CI: "the card does not know the certificate issuer (CI) that the SM-DP+ chose",
    },
    PrepareError: {
        PrepareError.INVALID_CERTIFICATE: (
            "the SM-DP+'s binding certificate is not valid: wrong CI, date or role, or another server's than before"
        ),
        PrepareError.INVALID_SIGNATURE: "the SM-DP+'s signature does not verify",
        PrepareError.UNSUPPORTED_CURVE: "the SM-DP+'s binding key is on an unsupported curve",
        PrepareError.NO_SESSION: "the card has no session open",
        PrepareError.INVALID_TRANSACTION_ID: "the transaction is not the one that was authenticated",
    },
    CancelError: {
        CancelError.INVALID_TRANSACTION_ID: "the card has no such transaction",
    },
    BppError: {
        BppError.INCORRECT_INPUT: "a value that the card cannot take",
        BppError.INVALID_SIGNATURE: "the SM-DP+'s signature over the package does not verify",
        BppError.INVALID_TRANSACTION_ID: "the package belongs to another transaction",
        BppError.UNSUPPORTED_CRT_VALUES: "key type or length unsupported",
        BppError.UNSUPPORTED_OPERATION_TYPE: "an unknown remote operation",
        BppError.UNSUPPORTED_PROFILE_CLASS: "the profile class is unsupported",
        BppError.STRUCTURE: "the package has a wrong structure",
        BppError.SECURITY: "a segment's MAC or padding is wrong",
        BppError.ICCID_EXISTS: "a profile with this ICCID is already installed",
        BppError.INSUFFICIENT_MEMORY: "the card's memory does not suffice",
        BppError.INTERRUPTION: "the installation was interrupted",
        BppError.PROFILE_ELEMENT: "a profile element could not be processed",
        BppError.ICCID_MISMATCH: "the profile's ICCID is not that of its metadata",
        BppError.TEST_PROFILE_KEY: "the network authentication key of a test profile is not a test key",
        BppError.PPR_NOT_ALLOWED: "the profile's policy rules are not allowed on this card",
    },
    StateChange: {
        StateChange.OK: "done",
        StateChange.NOT_FOUND: "there is no such profile",
        StateChange.WRONG_STATE: "the profile is not in the state that this needs",
        StateChange.DISALLOWED_BY_POLICY: "the profile's policy forbids it",
        StateChange.WRONG_REENABLING: "the profile must not be enabled again now",
        StateChange.CAT_BUSY: "the card is busy with a toolkit command",
    },
}


def meaning(kind: type[IntEnum], number: int) -> str:
    """`number name: sentence` of an error code, also of one that no table has."""
    names = {item.value: item.name.replace("_", " ").lower() for item in kind}
    if number not in names:
        return f"{number}, which is no {kind.__name__}"
    sentence = _MEANING.get(kind, {}).get(number)
    return f"{number} {names[number]}" + (f": {sentence}" if sentence else "")


@dataclass(frozen=True, slots=True)
class Status:
    """Subject and reason code of an ES9+ answer (SGP.22 5.2.6), and the sentence that a person reads."""

    subject: str
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{self.subject}/{self.reason} {self.text}"


ADDRESS_REFUSED = Status("8.8.1", "3.8", "the SM-DP+ address is not this server's")
NO_COMMON_CI = Status("8.8.2", "3.1", "no certificate issuer of the eUICC is known here")
SVN_UNSUPPORTED = Status("8.8.3", "3.1", "the eUICC's specification version is not supported")
NO_CERTIFICATE_FOR_CI = Status("8.8.4", "3.7", "no SM-DP+ certificate under a certificate issuer that the eUICC trusts")
TRANSACTION_UNKNOWN = Status("8.10.1", "3.9", "the transaction is unknown, finished or too old")
EUM_INVALID = Status("8.1.2", "6.1", "the EUM's certificate does not verify")
EUM_EXPIRED = Status("8.1.2", "6.3", "the EUM's certificate is out of date")
EUICC_INVALID = Status("8.1.3", "6.1", "the eUICC's certificate does not verify")
EUICC_EXPIRED = Status("8.1.3", "6.3", "the eUICC's certificate is out of date")
EUICC_SIGNATURE = Status("8.1", "6.1", "the eUICC's signature or challenge does not verify")
EUICC_ERROR = Status("8.1", "4.2", "the eUICC answered with an error")
NO_SPACE = Status("8.1", "4.8", "the eUICC has not enough memory for the profile")
CI_UNKNOWN = Status("8.11.1", "3.9", "the certificate issuer of the eUICC is unknown")
MATCHING_ID_REFUSED = Status("8.2.6", "3.8", "the matchingId is refused")
EID_MISMATCH = Status("8.1.1", "3.8", "the order is for another EID")
NO_PROFILE = Status("8.2.5", "4.3", "no profile is ordered for this EID")
NOT_RELEASED = Status("8.2", "1.2", "the profile is not released")
NO_REBINDING = Status("8.2", "3.7", "the profile is not available for a new binding")
CODE_MISSING = Status("8.2.7", "2.2", "the confirmation code is missing")
CODE_REFUSED = Status("8.2.7", "3.8", "the confirmation code is wrong")
CODE_TOO_OFTEN = Status("8.2.7", "6.4", "the confirmation code was wrong too often")
ORDER_TOO_OFTEN = Status("8.8.5", "6.4", "the profile was downloaded too often without an installation")
UNDECODABLE = Status("1.6", "2.1", "the request cannot be decoded")
