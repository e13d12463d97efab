"""Privacy on the radio: a whole run over real sockets, every octet of the radio kept, and the EID looked for in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doubles.eid_forms import shown_in
from doubles.network import SECONDS, Cable, Network, run

from rprov.daemon.udp import UdpPort
from rprov.model.settings import CredentialKind


class Radio:
    """What crossed the radio: both directions of the control link as streams, user packets one by one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.control: dict[bool, bytearray] = {True: bytearray(), False: bytearray()}
        self.packets: dict[str, list[bytes]] = {}
        send: Callable[..., None] = UdpPort.send

        def keep(port: UdpPort, octets: bytes, to: Any) -> None:
            if port._link == "radio":
                self.packets.setdefault(port._sends, []).append(octets)
            send(port, octets, to)

        monkeypatch.setattr(UdpPort, "send", keep)

    @property
    def streams(self) -> list[bytes]:
        packets = [packet for direction in self.packets.values() for packet in direction]
        return [bytes(self.control[True]), bytes(self.control[False]), *packets]


class Wiretap(Cable):
    """A radio link to which somebody listens."""

    def __init__(self, port: int, radio: Radio) -> None:
        super().__init__(port)
        self._radio = radio

    def _plug(self) -> Any:
        half = super()._plug()
        for end, up in ((half, True), (half.other, False)):
            assert end is not None
            end.data_received = self._kept(end.data_received, up)  # type: ignore[method-assign]
        return half

    def _kept(self, receive: Callable[[bytes], None], up: bool) -> Callable[[bytes], None]:
        def received(data: bytes) -> None:
            self._radio.control[up] += data
            receive(data)

        return received


def shown(place: Path, radio: Radio, **device: Any) -> list[str]:
    """Take a device through all seven steps; give the forms in which its EID crossed the radio."""

    async def scenario() -> list[str]:
        async with Network(place) as net, Wiretap(net.ran.port, radio) as cable:
            made = await net.device(credential=device.pop("credential", CredentialKind.DEVICE))
            made = made.but(**device)
            async with net.ue(made, port=cable.port) as ue:
                assert (await ue.outcome()).ok
                await ue.daemon.detach(SECONDS)
            assert net.seen.steps() == [(step, True) for step in range(1, 8)]
            assert all(len(stream) > 1000 for stream in radio.control.values())
            assert sorted(radio.packets) == ["downlink", "uplink"]
            assert sum(map(len, radio.streams)) > 15_000
            return shown_in(radio.streams, made.eid)

    found: list[str] = run(scenario())
    return found


@pytest.mark.parametrize("credential", CredentialKind)
def test_a_hidden_eid_never_crosses_the_radio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, credential: CredentialKind
) -> None:
    assert shown(tmp_path, Radio(monkeypatch), hide_eid=True, credential=credential) == []


def test_an_eid_that_is_not_hidden_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the search finds what is there."""
    assert shown(tmp_path, Radio(monkeypatch)) == ["BCD", "half of it, BCD"]
