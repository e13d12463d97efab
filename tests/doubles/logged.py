"""What rprov logs, as a list: whatever an earlier test has done to its logger, and without a trace afterwards."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def logged(level: int = logging.WARNING) -> Iterator[list[logging.LogRecord]]:
    """Keep the records of rprov's loggers from `level` up."""
    logger, kept = logging.getLogger("rprov"), _Kept()
    before = (logger.handlers, logger.propagate, logger.level)
    logger.handlers, logger.propagate = [kept], False
    logger.setLevel(level)
    try:
        yield kept.records
    finally:
        logger.handlers, logger.propagate = before[:2]
        logger.setLevel(before[2])
