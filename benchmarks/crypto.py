"""How long the cryptography takes: each primitive and derivation of rprov beside pycryptodome and `cryptography`.

    python benchmarks/crypto.py            JSON on stdout: microseconds per call, MB/s, and ratios; less than a minute

Where neither library has an algorithm (MILENAGE, TUAK, the 3GPP derivations), what they do have beneath it runs beside
it: AES, Keccak, HMAC; for SNOW 3G and ZUC they have nothing. Their part is written as their documentation has it, a new
object per message; rprov prepares a key once, as it does in a security context. All must agree on every result before
they are timed. Each figure is CPU time, the median of several rounds, and rounds of all take turns, so that a busy
machine hurts all alike. ZUC of snowland-smx (pure Python) joins where it is installed, by `pip install --no-deps`.
"""

import hashlib
import hmac
import json
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from statistics import geometric_mean, median
from time import perf_counter, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from Crypto.Cipher import AES as PY_AES
from Crypto.Hash import CMAC as PY_CMAC
from Crypto.Hash import HMAC as PY_HMAC
from Crypto.Hash import SHA256 as PY_SHA256
from Crypto.Hash import SHAKE256 as PY_SHAKE256
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hmac import HMAC

from rprov.crypto import hierarchy as keys
from rprov.crypto.kdf import kdf
from rprov.crypto.milenage import Milenage, opc
from rprov.crypto.nas_algorithms import cipher, integrity
from rprov.crypto.prf_prime import EapAkaKeys, prf_prime
from rprov.crypto.suci import HomeNetworkKey, conceal_octets, reveal_octets
from rprov.crypto.tuak import Tuak, TuakSizes, topc
from rprov.model.identifiers import Supi
from rprov.model.secret import Secret
from rprov.model.security import Nea, Nia

ROUNDS = 15
SECONDS_PER_ROUND = 0.004
SIZES = (64, 1400, 16384)
KEY, KEY256 = bytes(range(16)), bytes(range(32))
RAND, SQN, AMF = bytes(range(32, 48)), bytes(range(6)), b"\x80\0"
NETWORK = "5G:mnc001.mcc001.3gppnetwork.org"
SUPI = Supi("001010000000001")
COUNT, BEARER, DIRECTION = 0x01020304, 3, 1
COUNTER = COUNT.to_bytes(4) + bytes((BEARER << 3 | DIRECTION << 2,)) + bytes(11)

Action = Callable[[], Any]


@dataclass(frozen=True)
class Contest:
    """One computation and what each library does for it. `beside` says what that is, where it is not the same."""

    what: str
    actions: dict[str, Action]
    octets: int | None = None
    beside: str = "the same"
    agree: bool = True
    times: dict[str, float] = field(default_factory=dict)

    def run(self) -> "Contest":
        """Take turns; the times are microseconds per call."""
        results = [action() for action in self.actions.values()]
        assert not self.agree or all(result == results[0] for result in results), self.what
        loops = {name: _loops(action) for name, action in self.actions.items()}
        rounds: dict[str, list[float]] = {name: [] for name in self.actions}
        for _ in range(ROUNDS):
            for name, action in self.actions.items():
                rounds[name].append(_seconds(action, loops[name]) / loops[name])
        self.times.update({name: median(times) * 1e6 for name, times in rounds.items()})
        return self

    def line(self) -> dict[str, Any]:
        """What is printed of it; a ratio above 1 means that rprov is faster."""
        line: dict[str, Any] = {"what": self.what}
        if self.octets is not None:
            line["octets"] = self.octets
        line |= {f"{name}_us": round(time, 2) for name, time in self.times.items()}
        if self.octets is not None:
            line |= {f"{name}_MB_s": round(self.octets / time, 3) for name, time in self.times.items()}
        others = {name: time for name, time in self.times.items() if name != "rprov"}
        line |= {f"{name}_ratio": round(time / self.times["rprov"], 2) for name, time in others.items()}
        if others:
            line["beside"] = self.beside
        return line


def _seconds(action: Action, loops: int) -> float:
    begin = process_time()
    for _ in range(loops):
        action()
    return process_time() - begin


def _loops(action: Action) -> int:
    once = min(_seconds(action, 1) for _ in range(3))
    return max(1, round(SECONDS_PER_ROUND / once))


# --- NEA and NIA ------------------------------------------------------------------------------------------------------


def _aes_ctr_pycryptodome(data: bytes) -> bytes:
    return PY_AES.new(KEY, PY_AES.MODE_CTR, nonce=b"", initial_value=COUNTER).encrypt(data)


def _aes_ctr_cryptography(data: bytes) -> bytes:
    return Cipher(AES(KEY), modes.CTR(COUNTER)).encryptor().update(data)


def _cmac_pycryptodome(data: bytes) -> bytes:
    return PY_CMAC.new(KEY, COUNTER[:8] + data, ciphermod=PY_AES).digest()[:4]


def _cmac_cryptography(data: bytes) -> bytes:
    mac = CMAC(AES(KEY))
    mac.update(COUNTER[:8] + data)
    return mac.finalize()[:4]


def _zuc_snowland(data: bytes) -> bytes:
    from pysmx.ZUC import ZUC

    iv = (COUNT.to_bytes(4) + bytes((BEARER << 3 | DIRECTION << 2, 0, 0, 0))) * 2
    # its zuc_encrypt leaves out the one clock whose output is discarded; its keystream is right
    words = ZUC(list(KEY), list(iv), -(-len(data) // 4)).zuc_generate_keystream()
    stream = b"".join(word.to_bytes(4) for word in words)[: len(data)]
    return (int.from_bytes(stream) ^ int.from_bytes(data)).to_bytes(len(data))


def user_plane() -> Iterator[Contest]:
    """Ciphering and integrity of one message, under a key that rprov has prepared."""
    beside: dict[str, dict[str, Callable[[bytes], bytes]]] = {
        "NEA2": {"pycryptodome": _aes_ctr_pycryptodome, "cryptography": _aes_ctr_cryptography},
        "NIA2": {"pycryptodome": _cmac_pycryptodome, "cryptography": _cmac_cryptography},
    }
    if find_spec("pysmx") is not None:
        beside["NEA3"] = {"snowland-smx": _zuc_snowland}
    ciphers = {algorithm: cipher(algorithm, keys.KUpEnc(KEY)).apply for algorithm in Nea if algorithm}
    macs = {algorithm: integrity(algorithm, keys.KUpInt(KEY)).mac for algorithm in Nia if algorithm}
    for algorithm, apply in [*ciphers.items(), *macs.items()]:
        for size in SIZES:
            data = bytes(index * 7 & 0xFF for index in range(size))
            actions: dict[str, Action] = {"rprov": lambda apply=apply, data=data: apply(COUNT, BEARER, DIRECTION, data)}
            for name, other in beside.get(algorithm.name, {}).items():
                actions[name] = lambda other=other, data=data: other(data)
            yield Contest(f"128-{algorithm.name}", actions, size, "the same, key prepared for each message")


# --- derivations ------------------------------------------------------------------------------------------------------


def _hmac_pycryptodome(key: bytes, s: bytes) -> bytes:
    return PY_HMAC.new(key, s, digestmod=PY_SHA256).digest()


def _hmac_cryptography(key: bytes, s: bytes) -> bytes:
    run = HMAC(key, hashes.SHA256())
    run.update(s)
    return run.finalize()


def _input(fc: int, *parameters: bytes) -> bytes:
    return bytes((fc,)) + b"".join(parameter + len(parameter).to_bytes(2) for parameter in parameters)


def derivations() -> Iterator[Contest]:
    """Every derivation of TS 33.501 annex A that rprov uses; beside it the bare HMAC of the same octets."""
    name, supi, abba, ausf, key = NETWORK.encode(), SUPI.text.encode(), b"\0\0", keys.KAusf(KEY256), KEY256
    amf, gnb, seaf = keys.KAmf(KEY256), keys.KGnb(KEY256), keys.KSeaf(KEY256)
    last, count = slice(16, None), (5).to_bytes(4)
    whole = slice(None)
    table: list[tuple[str, Callable[[], bytes], bytes, slice]] = [
        ("KDF (TS 33.220 B.2)", lambda: kdf(key, 0x6C, name), _input(0x6C, name), whole),
        (
            "K_AUSF of 5G AKA (A.2)",
            lambda: keys.k_ausf_5g_aka(KEY, KEY256[16:], NETWORK, SQN).octets,
            _input(0x6A, name, SQN),
            whole,
        ),
        (
            "CK' and IK' (A.3)",
            lambda: b"".join(keys.ck_prime_ik_prime(KEY, KEY256[16:], NETWORK, SQN)),
            _input(0x20, name, SQN),
            whole,
        ),
        (
            "RES* (A.4)",
            lambda: keys.res_star(KEY, KEY256[16:], NETWORK, RAND, KEY[:8]),
            _input(0x6B, name, RAND, KEY[:8]),
            last,
        ),
        ("K_SEAF (A.6)", lambda: keys.k_seaf(ausf, NETWORK).octets, _input(0x6C, name), whole),
        ("K_AMF (A.7)", lambda: keys.k_amf(seaf, SUPI, abba).octets, _input(0x6D, supi, abba), whole),
        ("K_NASint (A.8)", lambda: keys.k_nas_int(amf, Nia.NIA2).octets, _input(0x69, b"\2", b"\2"), last),
        ("K_NASenc (A.8)", lambda: keys.k_nas_enc(amf, Nea.NEA2).octets, _input(0x69, b"\1", b"\2"), last),
        ("K_RRCint (A.8)", lambda: keys.k_rrc_int(gnb, Nia.NIA2).octets, _input(0x69, b"\4", b"\2"), last),
        ("K_RRCenc (A.8)", lambda: keys.k_rrc_enc(gnb, Nea.NEA2).octets, _input(0x69, b"\3", b"\2"), last),
        ("K_UPint (A.8)", lambda: keys.k_up_int(gnb, Nia.NIA2).octets, _input(0x69, b"\6", b"\2"), last),
        ("K_UPenc (A.8)", lambda: keys.k_up_enc(gnb, Nea.NEA2).octets, _input(0x69, b"\5", b"\2"), last),
        ("K_gNB (A.9)", lambda: keys.k_gnb(amf, 5).octets, _input(0x6E, count, b"\1"), whole),
        ("NH (A.10)", lambda: keys.nh(amf, gnb).octets, _input(0x6F, KEY256), whole),
        (
            "K_NG-RAN* (A.11)",
            lambda: keys.k_ng_ran_star(gnb, 7, 9).octets,
            _input(0x70, b"\0\7", b"\0\0\x09"),
            whole,
        ),
        (
            "K_AMF' (A.13)",
            lambda: keys.k_amf_prime(amf, keys.KeyChange.IDLE_MOBILITY, 5).octets,
            _input(0x72, b"\0", count),
            whole,
        ),
    ]
    for what, ours, s, part in table:
        actions: dict[str, Action] = {
            "rprov": ours,
            "pycryptodome": lambda s=s, part=part: _hmac_pycryptodome(KEY256, s)[part],
            "cryptography": lambda s=s, part=part: _hmac_cryptography(KEY256, s)[part],
            "hmac.digest": lambda s=s, part=part: hmac.digest(KEY256, s, "sha256")[part],
        }
        yield Contest(what, actions, beside="HMAC-SHA-256 of the same octets, S made beforehand")

    def sha_cryptography() -> bytes:
        run = hashes.Hash(hashes.SHA256())
        run.update(RAND + KEY)
        return run.finalize()[16:]

    yield Contest(
        "HRES* (A.5)",
        {
            "rprov": lambda: keys.hres_star(RAND, KEY),
            "pycryptodome": lambda: PY_SHA256.new(RAND + KEY).digest()[16:],
            "cryptography": sha_cryptography,
            "hashlib": lambda: hashlib.sha256(RAND + KEY).digest()[16:],
        },
    )
    yield Contest(
        "PRF', 208 octets (RFC 9048 3.4.1)",
        {
            "rprov": lambda: prf_prime(KEY256, b"EAP-AKA'" + supi, 208),
            "pycryptodome": lambda: _blocks(_hmac_pycryptodome, supi),
            "cryptography": lambda: _blocks(_hmac_cryptography, supi),
        },
    )
    yield Contest("EAP-AKA' keys from CK' and IK'", {"rprov": lambda: EapAkaKeys.derive(KEY, KEY, SUPI.text)})


def _blocks(mac: Callable[[bytes, bytes], bytes], supi: bytes) -> bytes:
    out = block = b""
    for index in range(1, 8):
        block = mac(KEY256, block + b"EAP-AKA'" + supi + bytes((index,)))
        out += block
    return out[:208]


# --- authentication functions -----------------------------------------------------------------------------------------


def _milenage_by(encrypt: Callable[[bytes], bytes], opc_: bytes) -> tuple[bytes, ...]:
    """f1 to f5* straight from TS 35.206 4.1, over anybody's AES."""

    def block(left: bytes, right: bytes) -> bytes:
        return bytes(a ^ b for a, b in zip(left, right, strict=True))

    temp = encrypt(block(RAND, opc_))
    in1 = block((SQN + AMF) * 2, opc_)
    out1 = block(encrypt(block(temp, in1[8:] + in1[:8])), opc_)
    outs = []
    for rotation, constant in ((0, 1), (4, 2), (8, 4), (12, 8)):
        turned = block(temp, opc_)
        turned = turned[rotation:] + turned[:rotation]
        outs.append(block(encrypt(turned[:15] + bytes((turned[15] ^ constant,))), opc_))
    return out1[:8], out1[8:], outs[0][8:], outs[1], outs[2], outs[0][:6], outs[3][:6]


def functions() -> Iterator[Contest]:
    """Everything that one authentication needs of MILENAGE or TUAK."""
    code = opc(Secret(KEY), Secret(bytes(16)))
    milenage = Milenage(Secret(KEY), code)

    def ours(of: Milenage | Tuak) -> tuple[bytes, ...]:
        made = of.f2345(RAND)
        macs = of.f1(RAND, SQN, AMF), of.f1_star(RAND, SQN, AMF)
        return (*macs, made.res, made.ck, made.ik, made.ak, of.f5_star(RAND))

    def by_cryptography() -> tuple[bytes, ...]:
        return _milenage_by(Cipher(AES(KEY), modes.ECB()).encryptor().update, code.octets)

    yield Contest(
        "MILENAGE f1 f1* f2 f3 f4 f5 f5*",
        {
            "rprov": lambda: ours(milenage),
            "pycryptodome": lambda: _milenage_by(PY_AES.new(KEY, PY_AES.MODE_ECB).encrypt, code.octets),
            "cryptography": by_cryptography,
        },
        beside="the same, written straight over its AES",
    )
    top = Secret(KEY256)
    tuak = Tuak(Secret(KEY), topc(Secret(KEY), top))
    twice = Tuak(Secret(KEY), topc(Secret(KEY), top, 2), TuakSizes(iterations=2))
    data = bytes(96)
    yield Contest(
        "TUAK f1 f1* f2 f3 f4 f5 f5*",
        {
            "rprov": lambda: ours(tuak),
            "pycryptodome": lambda: [PY_SHAKE256.new(data).read(102) for _ in range(4)],
            "hashlib": lambda: [hashlib.shake_256(data).digest(102) for _ in range(4)],
        },
        beside="its four permutations, as SHAKE256",
        agree=False,
    )
    yield Contest("TUAK f1 f1* f2 f3 f4 f5 f5*, Keccak twice (in Python)", {"rprov": lambda: ours(twice)})


# --- SUCI -------------------------------------------------------------------------------------------------------------


def concealment() -> Iterator[Contest]:
    """Concealing and revealing an MSIN; beside it the bare key agreement, without which it cannot be."""
    msin = bytes.fromhex("0010010010")
    x25519, p256 = X25519PrivateKey.from_private_bytes(KEY256), ec.derive_private_key(7, ec.SECP256R1())
    agreements: dict[int, Action] = {
        1: lambda: X25519PrivateKey.from_private_bytes(KEY256).exchange(x25519.public_key()),
        2: lambda: ec.derive_private_key(int.from_bytes(KEY256), ec.SECP256R1()).exchange(ec.ECDH(), p256.public_key()),
    }
    private = {1: Secret(KEY256), 2: Secret((7).to_bytes(32))}
    for profile, letter in ((1, "A"), (2, "B")):
        key = HomeNetworkKey(profile, private[profile])
        public = key.public

        def entropy(size: int) -> bytes:
            return bytes(range(1, size + 1))

        output = conceal_octets(profile, msin, public, entropy)
        known = {1: key}
        assert reveal_octets(profile, 1, output, known) == msin
        ways: dict[str, Action] = {
            "conceal": lambda profile=profile, public=public: conceal_octets(profile, msin, public, entropy),
            "reveal": lambda profile=profile, output=output, known=known: reveal_octets(profile, 1, output, known),
        }
        for way, ours in ways.items():
            actions = {"rprov": ours, "cryptography": agreements[profile]}
            yield Contest(f"SUCI {way}, profile {letter}", actions, beside="the key agreement alone", agree=False)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def main() -> None:
    """Run everything and print it."""
    begin = perf_counter()
    contests = [contest.run() for part in (user_plane, derivations, functions, concealment) for contest in part()]
    ratios: dict[str, list[float]] = {}
    for contest in contests:
        for name, time in contest.times.items():
            if name != "rprov" and contest.agree:
                ratios.setdefault(name, []).append(time / contest.times["rprov"])
    libraries = {name: _version(name) for name in ("cryptography", "pycryptodome", "snowland-smx")}
    bulk = {
        f"{contest.what} {contest.octets} octets": round(contest.octets / contest.times["rprov"], 3)
        for contest in contests
        if contest.octets is not None
    }
    report = {
        "machine": {"python": platform.python_version(), "machine": platform.machine()} | libraries,
        "seconds": round(perf_counter() - begin, 1),
        "geometric_mean_of_ratios": {name: round(geometric_mean(found), 2) for name, found in ratios.items()},
        "rprov_MB_s": bulk,
        "contests": [contest.line() for contest in contests],
    }
    json.dump(report, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
