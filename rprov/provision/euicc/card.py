"""The card behind a reader: APDUs in, APDUs out (TS 102 221, SGP.22 5.7.2). Knows nothing of what the octets mean.

    MANAGE CHANNEL -> SELECT ISD-R -> STORE DATA, block by block -> 61xx -> GET RESPONSE

A command of more than one APDU is put together per channel; a block out of order drops it. Answers end in SW1 SW2.
"""

from dataclasses import dataclass, field

from rprov.provision.euicc.es10 import DONE, MAX_COMMAND, Euicc
from rprov.provision.sgp22.codes import ISD_R
from rprov.provision.sgp22.tlv import tlv

CHANNELS = 4
"""The basic channel and three more; class bytes of further ones (TS 102 221 10.1.1) are refused."""

_MORE_BLOCKS, _LAST_BLOCK = 0x11, 0x91

_WRONG_LENGTH = b"\x67\x00"
_CHANNEL_UNSUPPORTED = b"\x68\x81"
_NOT_ALLOWED = b"\x69\x85"
_NO_FILE = b"\x6a\x82"
_WRONG_PARAMETERS = b"\x6a\x86"
_NO_INSTRUCTION = b"\x6d\x00"
_NO_CLASS = b"\x6e\x00"
_NO_CHANNEL_FREE = b"\x6a\x81"
_TOO_LONG = b"\x6a\x84"


@dataclass(slots=True)
class _Channel:
    """What one logical channel remembers: the selection, a command half received, an answer half fetched."""

    selected: bool = False
    command: bytearray = field(default_factory=bytearray)
    next_block: int = 0
    answer: bytes = b""
    status: bytes = DONE


class Card:
    """A card in a reader."""

    __slots__ = ("_channels", "euicc")

    def __init__(self, euicc: Euicc) -> None:
        self.euicc = euicc
        self._channels: dict[int, _Channel] = {0: _Channel()}

    def reset(self) -> None:
        """Take the power away and give it back."""
        self.euicc.reset()
        self._channels = {0: _Channel()}

    def transmit(self, apdu: bytes) -> bytes:
        """Answer one command APDU of the short form."""
        if not 4 <= len(apdu) <= 261:
            return _WRONG_LENGTH
        class_byte, instruction, p1, p2 = apdu[:4]
        if class_byte & 0x7C:  # secure messaging, chaining or channels above 3
            return _NO_CLASS
        channel = self._channels.get(class_byte & 0x03)
        if channel is None:
            return _CHANNEL_UNSUPPORTED
        body = apdu[4:]
        if instruction != 0xC0:
            channel.answer = b""
        match class_byte & 0x80, instruction:
            case 0x00, 0x70:
                return self._manage_channel(p1, p2)
            case 0x00, 0xA4:
                return _select(channel, p1, body)
            case 0x80, 0xE2:
                return self._store_data(channel, p1, p2, body)
            case _, 0xC0:
                return _fetch(channel, body)
            case 0x80, 0xAA:
                return DONE  # TERMINAL CAPABILITY: this card has nothing to learn from it
            case _:
                return _NO_INSTRUCTION

    def _manage_channel(self, p1: int, p2: int) -> bytes:
        if p1 == 0x00 and p2 == 0x00:
            number = next((number for number in range(1, CHANNELS) if number not in self._channels), None)
            if number is None:
                return _NO_CHANNEL_FREE
            self._channels[number] = _Channel()
            return bytes((number,)) + DONE
        if p1 == 0x80 and p2 != 0:
            return DONE if self._channels.pop(p2, None) is not None else _CHANNEL_UNSUPPORTED
        return _WRONG_PARAMETERS

    def _store_data(self, channel: _Channel, p1: int, p2: int, body: bytes) -> bytes:
        data = _data(body)
        if data is None:
            return _WRONG_LENGTH
        if not channel.selected:
            return _NOT_ALLOWED
        if p2 == 0:
            channel.command.clear()
            channel.next_block = 0
        if p1 not in (_MORE_BLOCKS, _LAST_BLOCK) or p2 != channel.next_block:
            _drop(channel)
            return _WRONG_PARAMETERS
        channel.command += data
        channel.next_block += 1  # never wraps: P2 cannot be 256
        if len(channel.command) > MAX_COMMAND:
            _drop(channel)
            return _TOO_LONG
        if p1 == _MORE_BLOCKS:
            return DONE
        answer = self.euicc.execute(bytes(channel.command))
        _drop(channel)
        return _offer(channel, answer[:-2], answer[-2:])


def _drop(channel: _Channel) -> None:
    """Forget a half-received command; only block 0 begins another."""
    channel.command.clear()
    channel.next_block = 0


def _data(body: bytes) -> bytes | None:
    """The data field behind Lc, with or without Le behind it; None when the lengths contradict each other."""
    if not body or body[0] == 0 or len(body) not in (1 + body[0], 2 + body[0]):
        return None
    return body[1 : 1 + body[0]]


def _select(channel: _Channel, p1: int, body: bytes) -> bytes:
    aid = _data(body)
    if aid is None:
        return _WRONG_LENGTH
    if p1 != 0x04:
        return _WRONG_PARAMETERS
    _drop(channel)
    channel.selected = aid == ISD_R
    if not channel.selected:
        return _NO_FILE
    version = tlv(0xE0, tlv(0x82, bytes((2, 2, 2))))
    return _offer(channel, tlv(0x6F, tlv(0x84, ISD_R), tlv(0xA5, tlv(0x9F65, b"\xff")), version), DONE)


def _offer(channel: _Channel, data: bytes, status: bytes) -> bytes:
    """Keep the data for GET RESPONSE and say how much of it can be fetched at once."""
    if not data:
        return status
    channel.answer, channel.status = data, status
    return _waiting(channel)


def _waiting(channel: _Channel) -> bytes:
    left = len(channel.answer)
    return bytes((0x61, left if left <= 255 else 0))


def _fetch(channel: _Channel, body: bytes) -> bytes:
    if len(body) > 1:
        return _WRONG_LENGTH
    if not channel.answer:
        return _NOT_ALLOWED
    wanted = body[0] if body and body[0] else 256
    data, channel.answer = channel.answer[:wanted], channel.answer[wanted:]
    return data + (_waiting(channel) if channel.answer else channel.status)
