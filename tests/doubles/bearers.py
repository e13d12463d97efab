"""Both ends of a data radio bearer under keys of its own."""

from rprov.crypto.hierarchy import KGnb
from rprov.model.security import Algorithms, Nea, Nia
from rprov.security.pdcp import DRB_SN_BITS, PdcpEntity, PdcpKeys


def bearer_ends(bearer: int = 1, key: bytes = bytes(range(32))) -> tuple[PdcpEntity, PdcpEntity]:
    """Give the UE's end and the RAN's."""
    keys = PdcpKeys.of_drb(KGnb(key), Algorithms(Nea.NEA2, Nia.NIA2), integrity_on=True, ciphering_on=True)
    return PdcpEntity(bearer, DRB_SN_BITS, 0, keys, 512), PdcpEntity(bearer, DRB_SN_BITS, 1, keys, 512)
