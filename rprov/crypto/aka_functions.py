"""Which authentication functions an algorithm means, and how an operator's code becomes a subscriber's.

The one place that knows both sets. Refuses to know whose keys they are.
"""

from typing import assert_never

from rprov.crypto.milenage import AkaFunctions, Milenage, opc
from rprov.crypto.tuak import Tuak, TuakSizes, topc
from rprov.model.secret import Secret
from rprov.model.security import AkaAlgorithm


def aka_functions(algorithm: AkaAlgorithm, k: Secret, opc: Secret, keccaks: int = 1) -> AkaFunctions:
    """Give f1 to f5* for one subscriber; `opc` is OPc or TOPc, `keccaks` how often TUAK permutes (TS 35.231 7.2)."""
    match algorithm:
        case AkaAlgorithm.MILENAGE:
            return Milenage(k, opc)
        case AkaAlgorithm.TUAK:
            return Tuak(k, opc, TuakSizes(iterations=keccaks))
        case _:
            assert_never(algorithm)


def subscriber_code(algorithm: AkaAlgorithm, k: Secret, op: Secret) -> Secret:
    """Derive OPc of an OP (TS 35.206 4.1), or TOPc of a TOP (TS 35.231 6.1)."""
    match algorithm:
        case AkaAlgorithm.MILENAGE:
            return opc(k, op)
        case AkaAlgorithm.TUAK:
            return topc(k, op)
        case _:
            assert_never(algorithm)
