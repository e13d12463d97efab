"""Key logs: lines of SSLKEYLOGFILE and our own, read and refused; no key in any error."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rprov.errors import DecodeError
from rprov.model.secret import Secret
from rprov.trace.keylog import KeyLog, Keys, LoggedKAusf, read_keys

KEY = bytes(range(32))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    log = KeyLog(tmp_path / "keys", "0123456789abcdef")
    log.line(b"EXPORTER_SECRET " + b"aa" * 32 + b" " + b"bb" * 48)
    log.k_ausf(0xFEDCBA98, Secret(KEY))
    log.close()
    keys = read_keys(tmp_path / "keys")
    assert keys.tls == {("EXPORTER_SECRET", b"\xaa" * 32): Secret(b"\xbb" * 48)}
    assert keys.k_ausf == [LoggedKAusf("0123456789abcdef", 0xFEDCBA98, Secret(KEY))]
    assert KEY.hex() not in repr(keys)


def test_comments_and_empty_lines_are_passed_over() -> None:
    keys = Keys()
    keys.add(["# TLS secrets log file", "", "  CLIENT_RANDOM 00 11  "])
    assert list(keys.tls) == [("CLIENT_RANDOM", b"\0")]


@pytest.mark.parametrize(
    "line",
    [
        "CLIENT_RANDOM 00",
        "CLIENT_RANDOM 0 11",
        "client_random 00 11",
        "CLIENT_RANDOM 00 zz" + "42" * 20,
        f"RPROV_KAUSF 0123456789abcdef 00000001 {'42' * 31}",
        f"RPROV_KAUSF 0123456789abcdef 1 {'42' * 32}",
        "RPROV_KAUSF",
    ],
)
def test_other_lines_are_refused_by_their_number_alone(line: str) -> None:
    with pytest.raises(DecodeError, match="line 2") as refused:
        Keys().add(["# one", line])
    assert "4242" not in str(refused.value)


@given(st.binary(max_size=80))
@settings(max_examples=60, deadline=None)
def test_garbage_is_refused_or_empty(tmp_path_factory: pytest.TempPathFactory, octets: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage.keys"
    path.write_bytes(octets)
    try:
        read_keys(path)
    except DecodeError as error:
        if "garbage.keys" not in str(error):
            raise
