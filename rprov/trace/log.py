"""How log lines look and where they go. A library is silent until asked: only a command calls `configure`.

text  12.034 info    [cp ue=12 s2_authenticate] EAP-TLS finished, 9 rounds
json  {"t":12.034,"level":"info","role":"cp","eid":"8904…","ue":"12","step":"s2_authenticate",…,"text":"…"}
"""

import json
import logging
from typing import Any, TextIO

from rprov.model.numbers import LogField
from rprov.model.sections import (
    LogFormat,
    LogLevel,
)

ROOT = "rprov"
"""The logger above all of ours."""


def configure(level: LogLevel, form: LogFormat, stream: TextIO) -> logging.Logger:
    """Send everything of rprov's loggers from `level` up to `stream`; calling again replaces what was asked before."""
    logger = logging.getLogger(ROOT)
    for old in logger.handlers[:]:
        logger.removeHandler(old)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form is LogFormat.JSON else TextFormatter())
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False
    return logger


class TextFormatter(logging.Formatter):
    """Lines for a person: whose they are stands in front."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Give one line; whatever a peer may have put into it cannot begin another."""
        fields = _fields(record)
        ue = f"ue={fields['ue']}" if fields["ue"] else None
        whose = " ".join(str(part) for part in (fields["role"], ue, fields["step"]) if part)
        text = _one_line(record.message)
        return f"{record.relativeCreated / 1000:.3f} {record.levelname.lower():<7} [{whose or _room(record)}] {text}"


class JsonFormatter(logging.Formatter):
    """Lines for a machine: the same keys in each (`model.numbers.LogField`), null where there is nothing to say."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line of JSON; a traceback is part of the text."""
        text = super().format(record)
        values: dict[str, Any] = {
            LogField.T.value: round(record.relativeCreated / 1000, 3),
            LogField.LEVEL.value: record.levelname.lower(),
            **_fields(record),
            LogField.TEXT.value: text,
        }
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


_FROM_RECORD = (LogField.ROLE, LogField.EID, LogField.UE, LogField.STEP, LogField.STATE, LogField.EVENT)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name.value: getattr(record, name.value, None) or None for name in _FROM_RECORD}


def _room(record: logging.LogRecord) -> str:
    return record.name.removeprefix(f"{ROOT}.")


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
