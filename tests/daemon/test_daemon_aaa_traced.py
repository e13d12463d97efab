"""Captures of RADIUS at an AAA server: over UDP and over TLS, and no key in them."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from doubles.aaa_place import SECRET, SERVER_NAME, AaaPlace
from doubles.loop import run
from doubles.radius_nas import Nas

from rprov.daemon.aaa import AaaDaemon
from rprov.model.tracing import TraceSettings
from rprov.trace.capture import Captured, read_capture
from rprov.trace.keylog import read_keys
from rprov.trace.recorder import MemoryRecorder
from rprov.trace.redaction import redact_radius
from rprov.trace.tracing import tracing
from rprov.wire.radius import RADSEC_SECRET, Code, decode
from rprov.wiring.aaa import open_aaa

Exchange = Callable[[bytes], bytes]


@contextmanager
def over_udp(_place: AaaPlace, daemon: AaaDaemon) -> Iterator[Exchange]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.settimeout(10.0)
        end.connect(("127.0.0.1", daemon.port))

        def exchange(octets: bytes) -> bytes:
            end.send(octets)
            return end.recv(4096)

        yield exchange


@contextmanager
def over_tls(place: AaaPlace, daemon: AaaDaemon) -> Iterator[Exchange]:
    context = ssl.create_default_context(cafile=str(place.place / "radsec-ca.pem"))
    context.load_cert_chain(place.place / "radsec-client.pem", place.place / "radsec-client.key")
    port = daemon._setup.radsec.port  # type: ignore[union-attr]
    with (
        socket.create_connection(("127.0.0.1", port), 10.0) as plain,
        context.wrap_socket(plain, server_hostname=SERVER_NAME) as stream,
        stream.makefile("rb") as answers,
    ):

        def exchange(octets: bytes) -> bytes:
            stream.sendall(octets)
            head = answers.read(4)
            return head + answers.read(int.from_bytes(head[2:]) - 4)

        yield exchange


@pytest.mark.parametrize("carrier", [over_udp, over_tls])
def test_what_an_aaa_server_was_asked_and_said(tmp_path: Path, carrier: Callable[..., Iterator[Exchange]]) -> None:
    place = AaaPlace(tmp_path)
    crossed: list[bytes] = []
    settings = TraceSettings(pcap=tmp_path / "aaa.pcapng", keylog=tmp_path / "aaa.keys")

    async def go() -> None:
        with tracing(settings) as traced:
            node = await open_aaa(place.settings(radsec=True), MemoryRecorder(), traced)
            daemon = cast("AaaDaemon", node.daemon)
            await daemon.start()

            def ask() -> Code:
                with carrier(place, daemon) as exchange:

                    def noted(octets: bytes) -> bytes:
                        crossed.append(octets)
                        crossed.append(exchange(octets))
                        return crossed[-1]

                    return Nas(SECRET if carrier is over_udp else RADSEC_SECRET, noted).run(place.device()).code

            try:
                assert await asyncio.to_thread(ask) is Code.ACCESS_ACCEPT
            finally:
                await node.close()

    run(go(), seconds=40)
    seen: list[Captured] = list(read_capture(tmp_path / "aaa.pcapng"))
    assert [item.octets for item in seen] == [redact_radius(octets)[0] for octets in crossed]
    assert [item.link for item in seen] == ["aaa"] * len(crossed)
    assert [item.inbound for item in seen] == [True, False] * (len(crossed) // 2)
    assert [decode(item.octets).code for item in seen if item.redacted] == [Code.ACCESS_ACCEPT]
    assert not [item.fault for item in seen if item.fault]
    assert {label for label, _ in read_keys(tmp_path / "aaa.keys").tls} >= {"EXPORTER_SECRET"}
