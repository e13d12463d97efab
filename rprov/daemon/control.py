"""The control socket of a daemon: a Unix socket of its user, on which questions of a person are answered.

    question    one frame, Ppid.CONTROL: {"ask": "links"}
    answer      one frame for each link, then {"end": how many}; {"error": why} for a question that nobody knows

Owns the socket file. What is asked and answered changes nothing in the daemon.
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rprov.errors import DecodeError, EnvironmentLacks
from rprov.model.control import LinkView
from rprov.model.numbers import Ppid
from rprov.wire.framing import FrameReader, encode_frame

_LOG = logging.getLogger("rprov.control")

MOST_ASKING = 8
"""Connections at once; a person has one."""
QUESTION_SECONDS = 5.0
LARGEST_QUESTION = 1024
ASK, LINKS, END, ERROR = "ask", "links", "end", "error"


class ControlSocket:
    """Listens for questions about one daemon."""

    def __init__(self, path: Path, links: Callable[[], Sequence[LinkView]]) -> None:
        self._path = path
        self._links = links
        self._asking: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; a socket that nobody listens at any more gives way. Raises `EnvironmentLacks`."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _give_way(self._path)
            # The file is born with the rights that it keeps: there is no moment in which others may connect.
            before = os.umask(0o177)
            try:
                listening.bind(str(self._path))
            finally:
                os.umask(before)
            self._server = await asyncio.start_unix_server(self._answer, sock=listening, limit=LARGEST_QUESTION)
        except OSError as error:
            listening.close()
            raise EnvironmentLacks(f"no control socket at {self._path}: {error.strerror or error}") from None

    async def close(self) -> None:
        """Answer no more, and take the file away."""
        if self._server is None:
            return
        self._server.close()
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        self._server = None
        with suppress(OSError):
            self._path.unlink()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._asking) >= MOST_ASKING:
            writer.transport.abort()
            return
        self._asking.add(task)
        try:
            async with asyncio.timeout(QUESTION_SECONDS):
                for line in self._answers(await _question(reader)):
                    writer.write(encode_frame(0, Ppid.CONTROL, json.dumps(line).encode()))
                    await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            _LOG.debug("a question on the control socket was not answered: %s", type(error).__name__)
            writer.transport.abort()
        except asyncio.CancelledError:
            _LOG.debug("a question on the control socket ends because the daemon does")
            writer.transport.abort()
        finally:
            self._asking.discard(task)

    def _answers(self, question: object) -> list[dict[str, Any]]:
        if question != {ASK: LINKS}:
            return [{ERROR: f"this daemon answers {LINKS} only"}]
        views = self._links()
        return [*map(asdict, views), {END: len(views)}]


async def _question(reader: asyncio.StreamReader) -> object:
    """Read one question; whatever is none is None."""
    frames = FrameReader(LARGEST_QUESTION)
    try:
        while octets := await reader.read(LARGEST_QUESTION):
            for frame in frames.feed(octets):
                question: object = json.loads(frame.payload) if frame.ppid == Ppid.CONTROL else None
                return question
    except (DecodeError, ValueError, RecursionError):
        return None
    return None


def _give_way(path: Path) -> None:
    """Remove a socket that is left over from a daemon which was killed; raises `OSError` if one still listens."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(None, "another daemon listens there")
