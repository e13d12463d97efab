"""The software eUICC at the level of ES10 functions: a command's octets in, an answer's octets out.

Driven by commands only; time and entropy are given to it. Owns the session that is open and replaces `state` in one
assignment once a command has succeeded as a whole: whoever keeps cards saves `state` when it is another object than
before. Knows no APDU (`card`) and no network.

An answer ends in two status octets, as from a card: 9000 done; 6A80 not decodable; 6A88 no such function; 6985 not now.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from rprov.crypto.x509 import subject_key_id
from rprov.errors import DecodeError, Misuse
from rprov.model.identifiers import Iccid
from rprov.provision.euicc import platform
from rprov.provision.euicc.loading import Loader, LoadFailed, Room
from rprov.provision.euicc.session import (
    Challenged,
    Means,
    OneTimeKey,
    Prepared,
    Session,
    authenticate_server,
    cancel_session,
    prepare_download,
)
from rprov.provision.euicc.state import MAX_PROFILES, CardState, InstalledProfile, PendingNotification
from rprov.provision.sgp22.codes import BppError
from rprov.provision.sgp22.info import EuiccInfo1, EuiccInfo2
from rprov.provision.sgp22.keys import signature_do
from rprov.provision.sgp22.metadata import Event, InstallationFailure, InstallationResult, NotificationMetadata
from rprov.provision.sgp22.objects import (
    CHALLENGE_LENGTH,
    AuthenticateServerRequest,
    CancelSessionRequest,
    PrepareDownloadRequest,
    oid_octets,
)
from rprov.provision.sgp22.tlv import open_tlv, read, tlv

DONE = b"\x90\x00"
NOT_DECODABLE = b"\x6a\x80"
NO_FUNCTION = b"\x6a\x88"
NOT_NOW = b"\x69\x85"

MAX_COMMAND = 1 << 16
"""A card's buffer for one command."""

_BOUND_PACKAGE = b"\xbf\x36"


@dataclass(frozen=True, slots=True)
class Loading:
    """A bound package is coming in."""

    prepared: Prepared
    loader: Loader


class Euicc:
    """One card: what it keeps (`state`), and the one session that may be open."""

    __slots__ = (
        "_anchors",
        "_entropy",
        "_keys",
        "_session",
        "_spare",
        "_verification",
        "state",
        "wall",
    )

    def __init__(
        self,
        state: CardState,
        keys: Mapping[str, ec.EllipticCurvePrivateKey],
        anchors: Sequence[x509.Certificate],
        entropy: Callable[[int], bytes],
        wall: datetime,
    ) -> None:
        """Put the card into its reader; `keys` are found by the credentials' references, `anchors` are CIs."""
        self.state = state
        self.wall = wall
        """The time at which certificates are judged; whoever holds the card sets it on before each use."""
        self._keys = keys
        self._anchors = tuple(anchors)
        self._verification = tuple(subject_key_id(anchor) for anchor in anchors)
        self._entropy = entropy
        self._session: Session | Loading | None = None
        self._spare: OneTimeKey | None = None

    def reset(self) -> None:
        """Take the power away: the session and all of a half-loaded package are gone, the state is as it was."""
        self._session = None
        self._spare = None

    def execute(self, command: bytes) -> bytes:
        """Perform one function, or take in a piece of a bound package; gives data and two status octets."""
        if len(command) > MAX_COMMAND:
            return NOT_DECODABLE
        session = self._session
        if isinstance(session, Loading) and not (session.loader.awaits_element and command[:1] == b"\xbf"):
            return self._load(session, command)
        try:
            return self._perform(command)
        except DecodeError:
            return NOT_DECODABLE

    def enabled_profile(self) -> InstalledProfile | None:
        """Give what a USIM needs of the enabled profile; None when no profile is enabled."""
        return self.state.enabled_profile

    def remember_sequence_numbers(self, iccid: Iccid, sqn_array: tuple[int, ...]) -> None:
        """Keep what the USIM accepted; raises DecodeError for a profile that is not there."""
        self.state = self.state.with_sequence_numbers(iccid, sqn_array)

    def tls_credential(self, ci_id: bytes) -> tuple[ec.EllipticCurvePrivateKey, tuple[bytes, bytes]]:
        """Hand the card's PRIVATE KEY over, with the certificates of card and EUM: the key leaves the card here.

        SGP.22 has no function by which a device may sign a TLS transcript with it; only a software card can do this,
        and only for the credential "euicc" of the attach. A device key of its own is the better choice.
        """
        credential = self._means().credential(ci_id)
        if credential is None:
            raise Misuse("the card has no credential under this CI")
        return self._keys[credential.key_reference], (credential.certificate, credential.eum_certificate)

    # --- functions -------------------------------------------------------------------------------------------------

    def _perform(self, command: bytes) -> bytes:
        if command.startswith(_BOUND_PACKAGE):
            return self._begin_loading(command)  # the one command that need not be a whole element
        tag = read(command, "command").tag
        if function := _FUNCTIONS.get(tag):
            return function(self, command)
        if query := platform.QUERIES.get(tag):
            return query(self.state, command) + DONE
        if change := platform.CHANGES.get(tag):
            outcome = change(self._means(), self.state, command)
            self.state = outcome.state
            return outcome.answer + DONE
        return NO_FUNCTION

    def _means(self) -> Means:
        state = self.state
        return Means(state.eid, state.credentials, self._keys, self._anchors, self._entropy, self.wall)

    def _challenge(self, command: bytes) -> bytes:
        open_tlv(command, 0xBF2E, "GetEUICCChallenge").finish()
        self._session = Challenged(self._entropy(CHALLENGE_LENGTH))
        return tlv(0xBF2E, tlv(0x80, self._session.challenge)) + DONE

    def _issuers(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        means = self._means()
        signing = tuple(item.ci_id for item in self.state.credentials if means.credential(item.ci_id) is not None)
        return self._verification, signing

    def _info1(self, command: bytes) -> bytes:
        open_tlv(command, 0xBF20, "GetEUICCInfo1").finish()
        return EuiccInfo1.build(*self._issuers()).raw + DONE

    def _build_info2(self) -> bytes:
        state = self.state
        return EuiccInfo2.build(*self._issuers(), len(state.profiles), state.free_memory).raw

    def _info2(self, command: bytes) -> bytes:
        open_tlv(command, 0xBF22, "GetEUICCInfo2").finish()
        return self._build_info2() + DONE

    def _rules(self, command: bytes) -> bytes:
        open_tlv(command, 0xBF43, "GetRAT").finish()
        return tlv(0xBF43, tlv(0xA0)) + DONE

    def _addresses(self, command: bytes) -> bytes:
        open_tlv(command, 0xBF3C, "GetEuiccConfiguredAddresses").finish()
        default = tlv(0x80, self.state.default_smdp.encode()) if self.state.default_smdp else b""
        return tlv(0xBF3C, default, tlv(0x81)) + DONE

    def _eid(self, command: bytes) -> bytes:
        reader = open_tlv(command, 0xBF3E, "GetEID")
        if reader.take(0x5C).value != b"\x5a":
            raise DecodeError("GetEID gives the EID only")
        reader.finish()
        return tlv(0xBF3E, tlv(0x5A, self.state.eid.octets)) + DONE

    # --- sessions --------------------------------------------------------------------------------------------------

    def _open_session(self) -> Session | None:
        """The session as the functions of authentication see it: in the middle of loading they have none."""
        return None if isinstance(self._session, Loading) else self._session

    def _authenticate_server(self, command: bytes) -> bytes:
        request = AuthenticateServerRequest.decode(command)
        answer, self._session = authenticate_server(self._means(), self._open_session(), request, self._build_info2())
        return answer + DONE

    def _prepare_download(self, command: bytes) -> bytes:
        request = PrepareDownloadRequest.decode(command)
        answer, prepared = prepare_download(self._means(), self._open_session(), request, self._spare)
        self._session = prepared
        if prepared is not None:
            self._spare = prepared.one_time
        return answer + DONE

    def _cancel_session(self, command: bytes) -> bytes:
        request = CancelSessionRequest.decode(command)
        session = self._session.prepared if isinstance(self._session, Loading) else self._session
        answer, over = cancel_session(self._means(), session, request)
        if over:
            self._session = None
        return answer + DONE

    # --- loading ---------------------------------------------------------------------------------------------------

    def _begin_loading(self, command: bytes) -> bytes:
        session = self._session
        if isinstance(session, Loading):  # a second package in the middle of the first
            return self._failed(session.prepared, session.loader.failed(BppError.INCORRECT_INPUT))
        if not isinstance(session, Prepared):
            return NOT_NOW
        room = Room(
            self.state.eid.octets,
            frozenset(profile.iccid for profile in self.state.profiles),
            self.state.free_memory,
            MAX_PROFILES - len(self.state.profiles),
        )
        loading = Loading(session, Loader(session, room))
        self._session = loading
        return self._load(loading, command)

    def _load(self, loading: Loading, octets: bytes) -> bytes:
        try:
            loaded = loading.loader.feed(octets)
        except LoadFailed as failure:
            return self._failed(loading.prepared, failure)
        if loaded is None:
            return DONE
        authenticated = loading.prepared.authenticated
        profile = InstalledProfile(
            self.state.free_aid, loaded.metadata, loaded.contents, authenticated.credential.ci_id
        )
        self._spare = None
        return self._conclude(loading.prepared, profile.aid, profile.iccid, self.state.with_profile(profile))

    def _failed(self, prepared: Prepared, failure: LoadFailed) -> bytes:
        return self._conclude(prepared, failure.failure, failure.iccid, self.state)

    def _conclude(
        self, prepared: Prepared, outcome: bytes | InstallationFailure, iccid: Iccid | None, state: CardState
    ) -> bytes:
        """Sign the result, and put profile and notification into the state in one go."""
        session = prepared.authenticated
        metadata = NotificationMetadata.build(state.next_sequence, Event.INSTALL, session.server_address, iccid)
        signed = InstallationResult.build_signed(
            session.transaction_id, metadata, oid_octets(session.smdp_oid), outcome
        )
        result = tlv(0xBF37, signed, signature_do(self._means().signature(session.credential, signed)))
        self._session = None
        self.state = state.with_notification(PendingNotification(metadata, result))
        return result + DONE


_FUNCTIONS: dict[int, Callable[[Euicc, bytes], bytes]] = {
    0xBF2E: Euicc._challenge,
    0xBF20: Euicc._info1,
    0xBF22: Euicc._info2,
    0xBF43: Euicc._rules,
    0xBF38: Euicc._authenticate_server,
    0xBF21: Euicc._prepare_download,
    0xBF41: Euicc._cancel_session,
    0xBF3C: Euicc._addresses,
    0xBF3E: Euicc._eid,
}
"""Functions that read or change the session; `platform` has those that do not."""
