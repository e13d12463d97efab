"""`rprov ctl links` against control sockets: what is shown, and what is said where nobody can answer."""

import asyncio
import json
import os
import socket
import stat
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from doubles.loop import run as run_in_loop

from rprov.cli.controlling import controlled
from rprov.cli.main import run
from rprov.cli.run_directory import prepare_run_directory, run_directory
from rprov.daemon import control
from rprov.daemon.control import ControlSocket
from rprov.daemon.link_views import view_of
from rprov.errors import EnvironmentLacks
from rprov.model.control import ControlSettings, LinkView
from rprov.model.numbers import Ppid
from rprov.transport.link import Address
from rprov.transport.memory import pair
from rprov.wire.framing import Frame, FrameReader, encode_frame


def n2(name: str = "ran", protected_for: str = "ran.ran.mnc001.mcc001.3gppnetwork.org") -> LinkView:
    return LinkView(
        kind="n2",
        name=name,
        local="127.0.0.3:29712",
        peer="127.0.0.1:54732",
        carrier="tcp+tls",
        protected_for=protected_for,
        streams=256,
        sent=17,
        sent_octets=1464,
        received=19,
        received_octets=2026,
        age=8.7,
    )


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RPROV_RUN_DIR", str(tmp_path / "run"))
    return tmp_path


def asked(links: list[LinkView], *arguments: str, settings: ControlSettings | None = None, role: str = "cp") -> int:
    """The exit code of a command that runs beside a daemon with these links."""

    async def scenario() -> int:
        async with controlled(settings or ControlSettings(), role, lambda: links):
            return await asyncio.to_thread(run, ["ctl", "links", *arguments])

    return int(run_in_loop(scenario()))


def test_links_are_shown_to_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked([n2(), n2("", "")]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split()[:6] == ["daemon", "kind", "name", "local", "peer", "carrier"]
    assert first.split() == [
        *(f"cp-{os.getpid()}", "n2", "ran", "127.0.0.3:29712", "127.0.0.1:54732", "tcp+tls", "256"),
        *("17", "(1464", "B)", "19", "(2026", "B)", "9", "s", "for", "ran.ran.mnc001.mcc001.3gppnetwork.org"),
    ]
    assert second.split()[2] == "-"
    assert second.endswith("none")


def test_links_are_shown_to_a_program(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = [n2(f"ran-{number}") for number in range(1000)]
    path = place / "cp.sock"
    assert asked(many, "--json", "-s", str(path), settings=ControlSettings(socket=path)) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [link.name for link in many]
    assert rows[0]["daemon"] == "cp"
    assert rows[0]["sent_octets"] == 1464
    assert not path.exists(), "the socket goes with its daemon"


def test_a_daemon_without_links_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked([], role="ran") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no links"


def test_only_the_user_may_ask() -> None:
    async def scenario() -> None:
        async with controlled(ControlSettings(), "ue", list):
            (path,) = run_directory().iterdir()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(run_directory().stat().st_mode) == 0o700

    run_in_loop(scenario())


Prepare = Callable[[Path], object]


def listening(path: Path) -> None:
    """A socket file that nobody listens at any more."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


CASES: dict[str, tuple[Prepare, str]] = {
    "nothing there": (lambda _path: None, "no daemon listens there"),
    "left over": (listening, "no daemon listens there"),
    "some file": (lambda path: path.write_text("no socket"), "no daemon listens there"),
    "a directory": (lambda path: path.mkdir(), "no daemon listens there"),
}


@pytest.mark.parametrize("case", CASES)
def test_where_nobody_can_answer_that_is_said(case: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare, why = CASES[case]
    path = place / "x.sock"
    prepare(path)
    assert run(["ctl", "links", "-s", str(path)]) == 3
    assert capsys.readouterr().err == f"rprov: {path}: {why}\n"


def test_without_any_daemon_the_place_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ctl", "links"]) == 3
    assert str(place / "run") in capsys.readouterr().err


def test_a_socket_left_over_from_a_crash_is_skipped_and_replaced(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listening(prepare_run_directory() / "ran-1.sock")
    assert asked([n2()]) == 0
    assert "ran-1" not in capsys.readouterr().out
    path = place / "cp.sock"
    listening(path)
    assert asked([n2()], "-s", str(path), settings=ControlSettings(socket=path)) == 0


def answers(*pieces: bytes) -> Any:
    """What the command does with a server that says this and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        for piece in pieces:
            writer.write(piece)
        writer.close()
        await writer.wait_closed()

    async def scenario(path: Path) -> int:
        server = await asyncio.start_unix_server(serve, str(path))
        async with server:
            return await asyncio.to_thread(run, ["ctl", "links", "-s", str(path)])

    return scenario


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "hung up in the middle"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no control socket of rprov"),
        (encode_frame(0, Ppid.CONTROL, b"[no json"), "no control socket of rprov"),
        (encode_frame(0, Ppid.CONTROL, b"7"), "no control socket of rprov"),
        (encode_frame(0, Ppid.CONTROL, b'{"kind": "n2"}'), "no control socket of rprov"),
        (encode_frame(0, Ppid.CONTROL, json.dumps(asdict(n2())).encode()), "hung up in the middle"),
        (encode_frame(0, Ppid.CONTROL, b'{"error": "not today"}'), "not today"),
    ],
)
def test_another_server_behind_the_socket_is_no_traceback(
    said: bytes, why: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_in_loop(answers(said)(place / "other.sock")) == 3
    err = capsys.readouterr().err
    assert why in err
    assert "mistake of rprov" not in err


# --- the daemon's end -------------------------------------------------------------------------------------------------


async def told(path: Path, octets: bytes) -> list[Any]:
    """What a daemon answers to these octets."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(octets)
    writer.write_eof()
    frames: list[Frame] = FrameReader().feed(await reader.read())
    writer.close()
    await writer.wait_closed()
    return [json.loads(frame.payload) for frame in frames]


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        encode_frame(0, Ppid.CONTROL, b"{"),
        encode_frame(0, Ppid.CONTROL, b'{"ask": "keys"}'),
        encode_frame(0, Ppid.N2, b'{"ask": "links"}'),
        encode_frame(0, Ppid.CONTROL, b"[" * 1000),
        encode_frame(0, Ppid.CONTROL, b"x" * 2000),
    ],
)
def test_what_is_no_question_gets_one_line_and_harms_nobody(octets: bytes, place: Path) -> None:
    async def scenario() -> None:
        control_socket = ControlSocket(place / "cp.sock", lambda: [n2()])
        await control_socket.start()
        assert await told(place / "cp.sock", octets) == [{"error": "this daemon answers links only"}]
        good = await told(place / "cp.sock", encode_frame(0, Ppid.CONTROL, b'{"ask": "links"}'))
        assert good[-1] == {"end": 1}
        await control_socket.close()

    run_in_loop(scenario())


def test_who_asks_and_says_nothing_is_hung_up_and_there_are_few_of_them(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "MOST_ASKING", 3)

    async def scenario() -> None:
        path = place / "cp.sock"
        control_socket = ControlSocket(path, lambda: [n2()])
        await control_socket.start()
        silent = [await asyncio.open_unix_connection(str(path)) for _ in range(4)]
        assert await silent[3][0].read() == b"", "one too many"
        monkeypatch.setattr(control, "QUESTION_SECONDS", 0.05)
        await control_socket.close()
        for reader, writer in silent:
            assert await reader.read() == b""
            writer.transport.abort()
        late = ControlSocket(path, lambda: [n2()])
        await late.start()
        reader, writer = await asyncio.open_unix_connection(str(path))
        assert await reader.read() == b"", "it has waited long enough"
        writer.transport.abort()
        await late.close()

    run_in_loop(scenario())


def test_a_named_socket_must_be_had_and_the_default_need_not(
    place: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hold(settings: ControlSettings) -> None:
        async with controlled(settings, "cp", list):
            pass

    with pytest.raises(EnvironmentLacks, match="no control socket at"):
        run_in_loop(hold(ControlSettings(socket=place / "missing" / "cp.sock")))

    async def twice() -> None:
        async with controlled(ControlSettings(socket=place / "cp.sock"), "cp", list):
            with pytest.raises(EnvironmentLacks, match="another daemon listens there"):
                await hold(ControlSettings(socket=place / "cp.sock"))

    run_in_loop(twice())
    (place / "run").write_text("a file in the way")
    run_in_loop(hold(ControlSettings()))
    assert "no control socket" in caplog.text
    run_in_loop(hold(ControlSettings(enabled=False)))
    (place / "run").unlink()
    (place / "run").mkdir()
    (place / "run").chmod(0o777)
    with pytest.raises(EnvironmentLacks, match="others may write there"):
        prepare_run_directory()
    for name, found in (("XDG_RUNTIME_DIR", place / "rprov"), ("", None)):
        monkeypatch.delenv("RPROV_RUN_DIR", raising=False)
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        if name:
            monkeypatch.setenv(name, str(place))
            assert run_directory() == found
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert run_directory() == Path("/run/rprov")
    monkeypatch.setattr(os, "geteuid", lambda: 77)
    assert run_directory().name == "rprov-77"


def test_a_link_is_seen_as_it_is() -> None:
    async def scenario() -> None:
        here, there = pair(Address("127.0.0.1", 1), Address("127.0.0.1", 2))
        await here.send(1, 1, b"four")
        await there.receive()
        view = view_of("n2", "ran", there)
        assert (view.received, view.received_octets, view.sent) == (1, 4, 0)
        assert (view.local, view.peer, view.carrier) == ("127.0.0.1:2", "127.0.0.1:1", "memory")
        assert view.protected_for == ""
        assert 0 <= view.age < 60

    run_in_loop(scenario())
