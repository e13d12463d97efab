"""The cause values that travel in rejects, and what each means to a person.

Numbers below 160 are the 5GMM/5GSM causes of TS 24.501 (tables 9.11.3.2.1 and 9.11.4.2.1). Numbers from 160 are
rprov's own: certificate authentication and provisioning scope have no cause in the standard that tells them apart.
"""

from enum import IntEnum


class Cause(IntEnum):
    """A cause on the wire, one octet."""

    # TS 24.501 9.11.3.2 and 9.11.4.2
    ILLEGAL_UE = 3
    IDENTITY_UNKNOWN = 9
    IMPLICITLY_DETACHED = 10
    PLMN_NOT_ALLOWED = 11
    MAC_FAILURE = 20
    SYNCH_FAILURE = 21
    CONGESTION = 22
    SECURITY_CAPABILITIES_MISMATCH = 23
    SECURITY_MODE_REJECTED = 24
    NON_5G_AUTHENTICATION = 26
    MISSING_OR_UNKNOWN_DNN = 27
    REQUEST_REJECTED = 31
    REGULAR_DEACTIVATION = 36
    INVALID_SESSION_IDENTITY = 43
    USER_AUTHENTICATION_FAILED = 29
    UNKNOWN_DNN_IN_SLICE = 70
    NGKSI_IN_USE = 71
    ONBOARDING_TERMINATED = 93
    SEMANTICALLY_INCORRECT = 95
    INVALID_MANDATORY_INFORMATION = 96
    MESSAGE_TYPE_NOT_IMPLEMENTED = 97
    MESSAGE_INCOMPATIBLE_WITH_STATE = 98
    PROTOCOL_ERROR = 111
    # certificates of the device, as the network sees them
    UNKNOWN_CI = 160
    CERTIFICATE_EXPIRED = 161
    CERTIFICATE_NOT_YET_VALID = 162
    EID_MISMATCH = 163
    EUM_NOT_AUTHORISED = 164
    WRONG_CERTIFICATE_ROLE = 165
    CERTIFICATE_INVALID = 166
    CERTIFICATE_REVOKED = 167
    REVOCATION_UNKNOWN = 168
    # certificates of the network, as the device sees them
    NETWORK_ANCHOR_UNKNOWN = 170
    NETWORK_NAME_MISMATCH = 171
    NETWORK_ROLE_FORBIDDEN = 172
    NETWORK_CERTIFICATE_EXPIRED = 173
    NETWORK_CERTIFICATE_NOT_YET_VALID = 174
    NETWORK_CERTIFICATE_INVALID = 175
    # certificates on N2
    NODE_NAME_MISMATCH = 178
    NETWORK_CERTIFICATE_REVOKED = 176
    NETWORK_REVOCATION_UNKNOWN = 177
    # authentication in general
    EAP_FAILED = 180
    NO_ORDER = 181
    AUTHENTICATION_TIMEOUT = 182
    RES_MISMATCH = 183
    SEQUENCE_OUT_OF_RANGE = 184
    # provisioning scope and sessions
    SCOPE_FORBIDS = 190
    SESSION_LIMIT = 191
    PROVISIONING_NOT_OFFERED = 192
    SCOPE_EXPIRED = 193
    NETWORK_FAILURE = 194
    RADIO_LINK_LOST = 195
    SUPERSEDED = 196
    PEER_SILENT = 197
    PROVISIONING_FAILED = 198
    # inside one node, never on the wire
    DEVICE_FAILURE = 199
    # normal endings
    NORMAL = 0

    @property
    def text(self) -> str:
        """The sentence that a person reads."""
        return _TEXT[self]


_TEXT: dict[Cause, str] = {
    Cause.NORMAL: "normal end",
    Cause.ILLEGAL_UE: "the network does not accept this device",
    Cause.IDENTITY_UNKNOWN: "the network does not know this identity",
    Cause.IMPLICITLY_DETACHED: "the network has detached the device",
    Cause.PLMN_NOT_ALLOWED: "this network is not allowed for the device",
    Cause.MAC_FAILURE: "the network's challenge does not carry a valid MAC: it does not hold the subscriber key",
    Cause.SYNCH_FAILURE: "the sequence number of the challenge is out of range",
    Cause.CONGESTION: "the network is busy",
    Cause.SECURITY_CAPABILITIES_MISMATCH: "the replayed security capabilities are not those that the device sent",
    Cause.SECURITY_MODE_REJECTED: "the security mode was refused",
    Cause.NON_5G_AUTHENTICATION: "the separation bit of the challenge is not set: not a 5G authentication",
    Cause.MISSING_OR_UNKNOWN_DNN: "the network does not know this data network, or not for this kind of session",
    Cause.UNKNOWN_DNN_IN_SLICE: "the network has no such data network in this slice",
    Cause.REQUEST_REJECTED: "the request was refused",
    Cause.REGULAR_DEACTIVATION: "the session ended normally",
    Cause.INVALID_SESSION_IDENTITY: "there is no such session",
    Cause.USER_AUTHENTICATION_FAILED: "authentication failed",
    Cause.NGKSI_IN_USE: "the key set identifier is already in use",
    Cause.ONBOARDING_TERMINATED: "provisioning has ended",
    Cause.SEMANTICALLY_INCORRECT: "a message contradicts itself",
    Cause.INVALID_MANDATORY_INFORMATION: "a message could not be decoded",
    Cause.MESSAGE_TYPE_NOT_IMPLEMENTED: "this kind of message or attach is not built",
    Cause.MESSAGE_INCOMPATIBLE_WITH_STATE: "the message does not fit what the receiver is doing",
    Cause.PROTOCOL_ERROR: "the protocol was broken",
    Cause.UNKNOWN_CI: "the device's certificate does not lead to a certificate issuer that the network trusts",
    Cause.CERTIFICATE_EXPIRED: "a certificate of the device has expired",
    Cause.CERTIFICATE_NOT_YET_VALID: "a certificate of the device is not yet valid",
    Cause.EID_MISMATCH: "the EID of the request is not the EID of the certificate",
    Cause.EUM_NOT_AUTHORISED: "the manufacturer's certificate does not allow it to issue this EID",
    Cause.WRONG_CERTIFICATE_ROLE: "the certificate has the wrong role",
    Cause.CERTIFICATE_INVALID: "a certificate of the device is not valid",
    Cause.CERTIFICATE_REVOKED: "a certificate of the device is revoked",
    Cause.REVOCATION_UNKNOWN: "the network cannot tell whether the device's certificate is revoked",
    Cause.NETWORK_ANCHOR_UNKNOWN: "the network's certificate does not lead to an anchor that the device trusts",
    Cause.NETWORK_NAME_MISMATCH: "the network's certificate names another network than the one announced",
    Cause.NETWORK_ROLE_FORBIDDEN: "the network's certificate has a role that no network may have",
    Cause.NETWORK_CERTIFICATE_EXPIRED: "the network's certificate has expired",
    Cause.NETWORK_CERTIFICATE_NOT_YET_VALID: "the network's certificate is not yet valid",
    Cause.NETWORK_CERTIFICATE_INVALID: "the network's certificate is not valid",
    Cause.NETWORK_CERTIFICATE_REVOKED: "the network's certificate is revoked",
    Cause.NETWORK_REVOCATION_UNKNOWN: "the device cannot tell whether the network's certificate is revoked",
    Cause.NODE_NAME_MISMATCH: "the certificate of this node names another one",
    Cause.EAP_FAILED: "the EAP exchange failed",
    Cause.NO_ORDER: "no profile is ordered for this EID",
    Cause.AUTHENTICATION_TIMEOUT: "the authentication was not finished in time",
    Cause.RES_MISMATCH: "the device's answer to the challenge is wrong",
    Cause.SEQUENCE_OUT_OF_RANGE: "the sequence number stayed out of range after resynchronisation",
    Cause.SCOPE_FORBIDS: "an attach for provisioning allows nothing but provisioning",
    Cause.SESSION_LIMIT: "an attach for provisioning allows one session only",
    Cause.PROVISIONING_NOT_OFFERED: "the network does not offer provisioning",
    Cause.SCOPE_EXPIRED: "the time allowed for provisioning is over",
    Cause.NETWORK_FAILURE: "something inside the network failed",
    Cause.RADIO_LINK_LOST: "the radio link was lost",
    Cause.SUPERSEDED: "the device attached again; its older context ended",
    Cause.PEER_SILENT: "the other side did not answer in time",
    Cause.PROVISIONING_FAILED: "the profile could not be downloaded",
    Cause.DEVICE_FAILURE: "something inside the device failed",
}
