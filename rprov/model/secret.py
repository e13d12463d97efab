"""Octets that must not be shown. Knows no algorithm.

It stands on the floor of the values, not beside the algorithms, because records and settings hold secrets too.
"""

import hmac
from typing import Self


class Secret:
    """Key material that never prints, compares in constant time, and is read only by asking for its octets."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = bytes(octets)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read hexadecimal text; the error never repeats it."""
        try:
            return cls(bytes.fromhex(text))
        except ValueError:
            raise ValueError("a key must be hexadecimal digits") from None

    @property
    def octets(self) -> bytes:
        """The octets themselves. Whoever asks answers for where they go."""
        return self._octets

    def __len__(self) -> int:
        return len(self._octets)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return hmac.compare_digest(self._octets, other._octets)

    def __hash__(self) -> int:
        raise TypeError("a secret is not hashable")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._octets)} octets)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")
