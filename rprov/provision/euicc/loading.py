"""Taking in a bound profile package piece by piece (SGP.22 2.5.4, 5.7.6), in whatever pieces it comes.

Nothing of the card changes here: the outcome is a whole, checked profile, or the command that failed and why. What has
been read is never half on the card.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

from rprov.errors import DecodeError, MacMismatch
from rprov.model.identifiers import Iccid
from rprov.provision.euicc.session import Prepared
from rprov.provision.profile import ProfileContents, parse_profile
from rprov.provision.sgp22.bpp import INSTALL_OPERATION, MAX_PACKAGE, SecureChannel
from rprov.provision.sgp22.bsp import (
    KEY_LENGTH,
    KEY_TYPE,
    Bsp,
    BspKeys,
    ChainingValue,
    SEnc,
    SMac,
    derive_keys,
    shared_info,
)
from rprov.provision.sgp22.codes import BppCommand, BppError
from rprov.provision.sgp22.keys import POINT_TAG, BadSignature, agree, load_point, point, verify
from rprov.provision.sgp22.metadata import InstallationFailure, ProfileMetadata
from rprov.provision.sgp22.tlv import Header, Reader, fixed, header, open_tlv, read_header, tlv

T = TypeVar("T")
Steps = Generator[None, None, T]
"""A part of the reading: it yields whenever more octets are needed."""

_MAX_CHANNEL = 512
_MAX_KEYS = 512
_MAX_METADATA = 4096


@dataclass(frozen=True, slots=True)
class Room:
    """What the card says before anything is read: the numbers that it holds, and how much fits in still."""

    eid: bytes
    iccids: frozenset[Iccid]
    memory: int
    profiles: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """A profile, complete and checked."""

    metadata: ProfileMetadata
    contents: ProfileContents


class LoadFailed(Exception):
    """The package is refused. `iccid` is known once its metadata were read."""

    def __init__(self, failure: InstallationFailure, iccid: Iccid | None) -> None:
        self.failure = failure
        self.iccid = iccid
        super().__init__(f"command {failure.command}, reason {failure.reason}")


class _No(Exception):
    def __init__(self, reason: BppError) -> None:
        self.reason = reason
        super().__init__(reason.name)


class Loader:
    """Driven by pieces of the package only. Of no use after it has given a profile or failed."""

    __slots__ = ("_buffer", "_command", "_iccid", "_inside", "_left", "_prepared", "_room", "_run")

    def __init__(self, prepared: Prepared, room: Room) -> None:
        self._prepared = prepared
        self._room = room
        self._buffer = bytearray()
        self._left = 0
        self._inside = False
        self._command = BppCommand.INITIALISE_SECURE_CHANNEL
        self._iccid: Iccid | None = None
        self._run = self._package()

    @property
    def awaits_element(self) -> bool:
        """Say whether another command could be told from the package here: no element of it begins with BF.

        That holds between elements, once the secure channel (BF23) is through.
        """
        begun = self._command is not BppCommand.INITIALISE_SECURE_CHANNEL
        return begun and not self._inside and not self._buffer

    def feed(self, octets: bytes) -> Loaded | None:
        """Take the next piece; gives the profile when it was the last one. Raises LoadFailed."""
        self._buffer += octets
        try:
            next(self._run)
        except StopIteration as end:
            if self._buffer:
                raise self.failed(BppError.INCORRECT_INPUT) from None
            loaded: Loaded = end.value
            return loaded
        except _No as refusal:
            raise self.failed(refusal.reason) from None
        except MacMismatch:
            raise self.failed(BppError.SECURITY) from None
        except DecodeError:
            raise self.failed(BppError.STRUCTURE) from None
        return None

    def failed(self, reason: BppError) -> LoadFailed:
        """Name the command that is under way as the one that failed."""
        return LoadFailed(InstallationFailure(self._command, reason), self._iccid)

    # --- the package, in its order ---------------------------------------------------------------------------------

    def _package(self) -> Steps[Loaded]:
        yield from self._begin()
        bsp = yield from self._secure_channel()
        self._command = BppCommand.CONFIGURE_ISDP
        open_tlv((yield from self._ciphered(0xA0, 0x87, bsp, _MAX_KEYS)), 0xBF24, "configureISDP").rest()
        self._command = BppCommand.STORE_METADATA
        metadata = yield from self._metadata(bsp)
        group = yield from self._enter((0xA2, 0xA3))
        if group.tag == 0xA2:
            self._command = BppCommand.REPLACE_SESSION_KEYS
            bsp = _replaced((yield from self._segments(group, 0x87, bsp, _MAX_KEYS)))
            group = yield from self._enter((0xA3,))
        self._command = BppCommand.LOAD_PROFILE_ELEMENTS
        package = yield from self._segments(group, 0x86, bsp, self._room.memory)
        if self._left:
            raise _No(BppError.STRUCTURE)
        try:
            contents = parse_profile(package)
        except DecodeError:
            raise _No(BppError.PROFILE_ELEMENT) from None
        if contents.iccid != metadata.iccid:
            raise _No(BppError.ICCID_MISMATCH)
        return Loaded(metadata, contents)

    def _begin(self) -> Steps[None]:
        head = yield from self._header()
        if head.tag != 0xBF36:
            raise _No(BppError.STRUCTURE)
        if head.length > min(MAX_PACKAGE, self._room.memory) or self._room.profiles < 1:
            raise _No(BppError.INSUFFICIENT_MEMORY)
        self._left = head.length

    def _secure_channel(self) -> Steps[Bsp]:
        head = yield from self._enter((0xBF23,), _MAX_CHANNEL)
        value = yield from self._value(head.length)
        channel = SecureChannel.decode(header(head.tag, head.length) + value)
        authenticated = self._prepared.authenticated
        private = self._prepared.one_time.private
        if channel.transaction_id != authenticated.transaction_id:
            raise _No(BppError.INVALID_TRANSACTION_ID)
        if channel.operation != INSTALL_OPERATION:
            raise _No(BppError.UNSUPPORTED_OPERATION_TYPE)
        if (channel.key_type, channel.key_length) != (KEY_TYPE, KEY_LENGTH):
            raise _No(BppError.UNSUPPORTED_CRT_VALUES)
        try:
            verify(self._prepared.binding_key, channel.signature, channel.signed, tlv(POINT_TAG, point(private)))
        except BadSignature:
            raise _No(BppError.INVALID_SIGNATURE) from None
        try:
            public = load_point(channel.one_time_key, private.curve, "otPK.DP")
        except DecodeError:
            raise _No(BppError.INCORRECT_INPUT) from None
        return Bsp(derive_keys(agree(private, public), shared_info(channel.host_id, self._room.eid)))

    def _metadata(self, bsp: Bsp) -> Steps[ProfileMetadata]:
        group = yield from self._enter((0xA1,))
        collected = b""
        while group.length > 0:
            group, value = yield from self._segment(group, 0x88)
            collected += bsp.verified(0x88, value)
            if len(collected) > _MAX_METADATA:
                raise _No(BppError.INSUFFICIENT_MEMORY)
        metadata = ProfileMetadata.decode(collected)
        self._iccid = metadata.iccid
        if metadata.iccid in self._room.iccids:
            raise _No(BppError.ICCID_EXISTS)
        if metadata.policy_rules:
            raise _No(BppError.PPR_NOT_ALLOWED)  # the rules authorisation table of this card is empty (GetRAT)
        return metadata

    def _ciphered(self, tag: int, segment: int, bsp: Bsp, limit: int) -> Steps[bytes]:
        group = yield from self._enter((tag,))
        return (yield from self._segments(group, segment, bsp, limit))

    def _segments(self, group: Header, tag: int, bsp: Bsp, limit: int) -> Steps[bytes]:
        """Read all segments of a group; the plain text goes on from one to the next (SGP.22 2.5.5)."""
        plain = bytearray()
        while group.length > 0:
            group, value = yield from self._segment(group, tag)
            try:
                plain += bsp.unprotect(tag, value)
            except DecodeError:
                raise _No(BppError.SECURITY) from None
            if len(plain) > limit:
                raise _No(BppError.INSUFFICIENT_MEMORY)
        return bytes(plain)

    # --- octets ----------------------------------------------------------------------------------------------------

    def _segment(self, group: Header, tag: int) -> Steps[tuple[Header, bytes]]:
        """Read one element of a group; gives what is left of the group, and the element's value."""
        head = yield from self._header()
        left = group.length - head.octets - head.length
        if head.tag != tag or left < 0:
            raise _No(BppError.STRUCTURE)
        value = yield from self._value(head.length)
        return Header(group.tag, left, group.octets), value

    def _enter(self, tags: tuple[int, ...], limit: int = MAX_PACKAGE) -> Steps[Header]:
        """Read the header of the next element of the package, which must fit into what is left of it."""
        head = yield from self._header()
        self._left -= head.octets + head.length
        if head.tag not in tags or self._left < 0 or head.length > limit:
            raise _No(BppError.STRUCTURE)
        return head

    def _header(self) -> Steps[Header]:
        while (head := read_header(self._buffer)) is None:
            yield
        del self._buffer[: head.octets]
        return head

    def _value(self, length: int) -> Steps[bytes]:
        self._inside = True
        while len(self._buffer) < length:
            yield
        value = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._inside = False
        return value


def _replaced(plain: bytes) -> Bsp:
    """Read BF26 and begin anew under its keys."""
    what = "replaceSessionKeys"
    reader: Reader = open_tlv(plain, 0xBF26, what)
    chaining, enc, mac = (fixed(reader.take(tag).value, KEY_LENGTH, what) for tag in (0x80, 0x81, 0x82))
    reader.finish()
    return Bsp(BspKeys(ChainingValue(chaining), SEnc(enc), SMac(mac)))
