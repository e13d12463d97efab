"""The key hierarchy: one type per stage and one function per step (TS 33.501 Annex A).

    EMSK | MSK | CK,IK -> K_AUSF -> K_SEAF -> K_AMF -> K_NASint, K_NASenc
                                                    -> K_gNB -> K_RRCint, K_RRCenc, K_UPint, K_UPenc
                                                    -> NH -> K_gNB of the next cell

A key of one stage cannot be passed where another belongs. Refuses to know who holds a key and when it changes.
"""

import hashlib
from enum import IntEnum

from rprov.crypto.kdf import kdf
from rprov.errors import Misuse
from rprov.model.identifiers import Supi
from rprov.model.secret import Secret
from rprov.model.security import Nea, Nia


class Msk(Secret):
    """64 octets that an EAP method exports, the half that an external AAA gives away (RFC 3748 7.10)."""


class Emsk(Secret):
    """64 octets that an EAP method exports and that never leave its two ends (RFC 3748 7.10)."""


class KAusf(Secret):
    """K_AUSF, 32 octets; stays in the CP-AU and in the UE."""


class KSeaf(Secret):
    """K_SEAF, 32 octets; the CP-AU hands it to the CP-CN."""


class KAmf(Secret):
    """K_AMF, 32 octets."""


class KNasInt(Secret):
    """K_NASint, 16 octets."""


class KNasEnc(Secret):
    """K_NASenc, 16 octets."""


class KGnb(Secret):
    """K_gNB, or K_NG-RAN* once it is in use, 32 octets; also K_N3IWF, which is made in the same way."""


class Nh(Secret):
    """NH, the next hop parameter, 32 octets."""


class KSn(Secret):
    """K_SN, the key of a secondary node, 32 octets."""


class KAsme(Secret):
    """K_ASME of EPS, 32 octets, for interworking."""


class KRrcInt(Secret):
    """K_RRCint, 16 octets."""


class KRrcEnc(Secret):
    """K_RRCenc, 16 octets."""


class KUpInt(Secret):
    """K_UPint, 16 octets."""


class KUpEnc(Secret):
    """K_UPenc, 16 octets."""


class Access(IntEnum):
    """Access type distinguishers (TS 33.501 A.9)."""

    THREE_GPP = 0x01
    NON_3GPP = 0x02


class KeyChange(IntEnum):
    """Why K_AMF' is made: the DIRECTION of TS 33.501 A.13."""

    IDLE_MOBILITY = 0x00
    HANDOVER = 0x01


class TrustedAccessKey(IntEnum):
    """Usage type distinguishers of a trusted non-3GPP access (TS 33.501 A.22)."""

    TIPSEC = 0x01
    TNAP = 0x02
    FT = 0x03


class _Use(IntEnum):
    """Algorithm type distinguishers (TS 33.501 A.8)."""

    NAS_ENC = 0x01
    NAS_INT = 0x02
    RRC_ENC = 0x03
    RRC_INT = 0x04
    UP_ENC = 0x05
    UP_INT = 0x06


def _count(value: int) -> bytes:
    if not 0 <= value <= 0xFFFFFFFF:
        raise Misuse("a COUNT has 32 bits")
    return value.to_bytes(4)


def _sized(octets: bytes, size: int, what: str) -> bytes:
    if len(octets) != size:
        raise Misuse(f"{what} has {size} octets")
    return octets


# --- K_AUSF, in each way it comes about ---------------------------------------------------------------------------


def k_ausf_from_emsk(emsk: Emsk) -> KAusf:
    """Take the most significant 256 bits of EMSK (TS 33.501 B.2.1.1 steps 20-21 and F.3)."""
    return KAusf(_sized(emsk.octets, 64, "EMSK")[:32])


def k_ausf_from_msk(msk: Msk) -> KAusf:
    """Take the most significant 256 bits of MSK: the server is an external AAA (TS 33.501 I.2.2.2.2 step 14)."""
    return KAusf(_sized(msk.octets, 64, "MSK")[:32])


def k_ausf_5g_aka(ck: bytes, ik: bytes, network: str, sqn_xor_ak: bytes) -> KAusf:
    """Derive K_AUSF of 5G AKA (TS 33.501 A.2: FC 0x6A, serving network name, SQN xor AK)."""
    return KAusf(kdf(_ck_ik(ck, ik), 0x6A, network.encode(), _sized(sqn_xor_ak, 6, "SQN xor AK")))


def ck_prime_ik_prime(ck: bytes, ik: bytes, network: str, sqn_xor_ak: bytes) -> tuple[bytes, bytes]:
    """Derive CK' and IK' of EAP-AKA' (TS 33.501 A.3 = TS 33.402 A.2: FC 0x20); 16 octets each, CK' first."""
    both = kdf(_ck_ik(ck, ik), 0x20, network.encode(), _sized(sqn_xor_ak, 6, "SQN xor AK"))
    return both[:16], both[16:]


def _ck_ik(ck: bytes, ik: bytes) -> bytes:
    return _sized(ck, 16, "CK") + _sized(ik, 16, "IK")


# --- the answer of 5G AKA -----------------------------------------------------------------------------------------


def res_star(ck: bytes, ik: bytes, network: str, rand: bytes, res: bytes) -> bytes:
    """Derive RES* or XRES*, 16 octets (TS 33.501 A.4: FC 0x6B; the least significant 128 bits)."""
    if not 4 <= len(res) <= 16:
        raise Misuse("RES has 4 to 16 octets")
    return kdf(_ck_ik(ck, ik), 0x6B, network.encode(), _sized(rand, 16, "RAND"), res)[16:]


def hres_star(rand: bytes, res_star: bytes) -> bytes:
    """Derive HRES* or HXRES*, 16 octets (TS 33.501 A.5: plain SHA-256, no FC; the least significant 128 bits)."""
    return hashlib.sha256(_sized(rand, 16, "RAND") + _sized(res_star, 16, "RES*")).digest()[16:]


# --- K_SEAF, K_AMF ------------------------------------------------------------------------------------------------


def k_seaf(key: KAusf, network: str) -> KSeaf:
    """Derive K_SEAF (TS 33.501 A.6: FC 0x6C, serving network name)."""
    return KSeaf(kdf(key.octets, 0x6C, network.encode()))


def k_amf(key: KSeaf, supi: Supi, abba: bytes) -> KAmf:
    """Derive K_AMF (TS 33.501 A.7: FC 0x6D; IMSI digits or NAI without a type prefix; ABBA of any length)."""
    return KAmf(kdf(key.octets, 0x6D, supi.text.encode(), abba))


def k_amf_prime(key: KAmf, change: KeyChange, count: int) -> KAmf:
    """Derive K_AMF' (TS 33.501 A.13: FC 0x72; downlink COUNT at handover, uplink COUNT of the request when idle)."""
    return KAmf(kdf(key.octets, 0x72, bytes((change,)), _count(count)))


def k_asme_prime(key: KAmf, uplink_count: int) -> KAsme:
    """Derive K_ASME' for a move to EPS in idle mode (TS 33.501 A.14.1: FC 0x73)."""
    return KAsme(kdf(key.octets, 0x73, _count(uplink_count)))


def k_amf_prime_from_eps(key: KAsme, uplink_count: int) -> KAmf:
    """Derive K_AMF' for a move from EPS in idle mode (TS 33.501 A.15.1: FC 0x75)."""
    return KAmf(kdf(key.octets, 0x75, _count(uplink_count)))


# --- NAS ----------------------------------------------------------------------------------------------------------


def _algorithm_key(key: bytes, use: _Use, algorithm: Nea | Nia) -> bytes:
    # TS 33.501 A.8: FC 0x69; the least significant 128 bits
    return kdf(key, 0x69, bytes((use,)), bytes((algorithm,)))[16:]


def k_nas_int(key: KAmf, algorithm: Nia) -> KNasInt:
    """Derive K_NASint (TS 33.501 A.8)."""
    return KNasInt(_algorithm_key(key.octets, _Use.NAS_INT, algorithm))


def k_nas_enc(key: KAmf, algorithm: Nea) -> KNasEnc:
    """Derive K_NASenc (TS 33.501 A.8)."""
    return KNasEnc(_algorithm_key(key.octets, _Use.NAS_ENC, algorithm))


# --- AS -----------------------------------------------------------------------------------------------------------


def k_gnb(key: KAmf, uplink_count: int, access: Access = Access.THREE_GPP) -> KGnb:
    """Derive K_gNB, or K_N3IWF of a non-3GPP access (TS 33.501 A.9: FC 0x6E, uplink NAS COUNT, access type)."""
    return KGnb(kdf(key.octets, 0x6E, _count(uplink_count), bytes((access,))))


def nh(key: KAmf, sync: KGnb | Nh) -> Nh:
    """Derive the next NH from K_gNB, or from the NH before it (TS 33.501 A.10: FC 0x6F)."""
    return Nh(kdf(key.octets, 0x6F, sync.octets))


def k_ng_ran_star(key: KGnb | Nh, pci: int, arfcn_dl: int) -> KGnb:
    """Derive the key of a target gNB (TS 33.501 A.11: FC 0x70, PCI, and ARFCN-DL in three octets)."""
    return KGnb(kdf(key.octets, 0x70, *_cell(pci, arfcn_dl)))


def k_ng_ran_star_ng_enb(key: KGnb | Nh, pci: int, earfcn_dl: int) -> KGnb:
    """Derive the key of a target ng-eNB (TS 33.501 A.12: FC 0x71, PCI, and EARFCN-DL in three octets)."""
    return KGnb(kdf(key.octets, 0x71, *_cell(pci, earfcn_dl)))


def _cell(pci: int, arfcn: int) -> tuple[bytes, bytes]:
    if not 0 <= pci <= 0xFFFF:
        raise Misuse("a PCI has two octets")
    if not 0 <= arfcn <= 0xFFFFFF:
        raise Misuse("an ARFCN has three octets")
    return pci.to_bytes(2), arfcn.to_bytes(3)


def k_sn(key: KGnb, sn_counter: int) -> KSn:
    """Derive the key of a secondary node (TS 33.501 A.16: FC 0x79, SN counter)."""
    if not 0 <= sn_counter <= 0xFFFF:
        raise Misuse("an SN counter has two octets")
    return KSn(kdf(key.octets, 0x79, sn_counter.to_bytes(2)))


def k_trusted_access(key: KGnb, use: TrustedAccessKey) -> Secret:
    """Derive K_TIPSec, K_TNAP or K_FT from K_TNGF (TS 33.501 A.22: FC 0x84, usage type); 32 octets."""
    return Secret(kdf(key.octets, 0x84, bytes((use,))))


def k_rrc_int(key: KGnb | KSn, algorithm: Nia) -> KRrcInt:
    """Derive K_RRCint (TS 33.501 A.8)."""
    return KRrcInt(_algorithm_key(key.octets, _Use.RRC_INT, algorithm))


def k_rrc_enc(key: KGnb | KSn, algorithm: Nea) -> KRrcEnc:
    """Derive K_RRCenc (TS 33.501 A.8)."""
    return KRrcEnc(_algorithm_key(key.octets, _Use.RRC_ENC, algorithm))


def k_up_int(key: KGnb | KSn, algorithm: Nia) -> KUpInt:
    """Derive K_UPint (TS 33.501 A.8)."""
    return KUpInt(_algorithm_key(key.octets, _Use.UP_INT, algorithm))


def k_up_enc(key: KGnb | KSn, algorithm: Nea) -> KUpEnc:
    """Derive K_UPenc (TS 33.501 A.8)."""
    return KUpEnc(_algorithm_key(key.octets, _Use.UP_ENC, algorithm))
