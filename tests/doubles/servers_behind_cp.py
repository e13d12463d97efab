"""FreeRADIUS and hostapd as AAA servers behind a CP, and devices that they can believe.

OpenSSL refuses what SGP.22 means by nameConstraints, so these devices have an EUM without any (`Plain`).
"""

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from doubles.behind_aaa import SECRET, BehindAaa
from doubles.network import Device
from doubles.radius_servers import find

from rprov.cli.demo_files import EID_PREFIX
from rprov.crypto import issue
from rprov.model.identifiers import Eid
from rprov.model.kinds import ReadPath
from rprov.model.settings import CredentialSettings
from rprov.store.pki import load_chain, load_key

SUBJECT_HAS_EID = r"&TLS-Client-Cert-Subject =~ /\/serialNumber=([0-9]{32})(\/|$)/"
EID_WAYS = {
    "digits in Chargeable-User-Identity": f"""
        if ({SUBJECT_HAS_EID}) {{
            update reply {{
                Chargeable-User-Identity := "%{{1}}"
            }}
        }}""",
    "digits in User-Name": f"""
        if ({SUBJECT_HAS_EID}) {{
            update reply {{
                User-Name := "%{{1}}"
            }}
        }}""",
    "the subject in User-Name": """
        update reply {
            User-Name := "%{TLS-Client-Cert-Subject}"
        }""",
    "the subject in Class": """
        update reply {
            Class := "%{TLS-Client-Cert-Subject}"
        }""",
}
"""What the section post-auth of FreeRADIUS says, so that the CP learns whose certificate it was."""

FREERADIUS = """
name = freeradius
prefix = /usr
confdir = {here}
raddbdir = {here}
logdir = {here}
run_dir = {here}
libdir = /usr/lib/freeradius
pidfile = {here}/radiusd.pid
max_request_time = 30
cleanup_delay = 1
log {{
    destination = stdout
    auth = yes
}}
thread pool {{
    start_servers = 2
    max_servers = 2
    min_spare_servers = 1
    max_spare_servers = 2
}}
security {{
    reject_delay = 0
    status_server = yes
    allow_vulnerable_openssl = yes
}}
client loop {{
    ipaddr = 127.0.0.1
    secret = "{secret}"
    require_message_authenticator = yes
}}
clients radsec {{
    client loop_tls {{
        ipaddr = 127.0.0.1
        proto = tls
        secret = radsec
        require_message_authenticator = yes
    }}
}}
modules {{
    eap {{
        default_eap_type = tls
        tls-config main {{
            private_key_file = {pki}/cp.key
            certificate_file = {pki}/cp.pem
            auto_chain = no
            ca_file = {pki}/{ca}.pem
            check_crl = {crl}
            check_all_crl = {crl}
            fragment_size = {fragment}
            tls_min_version = "{tls}"
            tls_max_version = "{tls}"
            ecdh_curve = "X25519:prime256v1"
            cache {{
                enable = no
            }}
        }}
        tls {{
            tls = main
        }}
    }}
}}
server default {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {port}
    }}
{radsec}
    authorize {{
        eap
    }}
    authenticate {{
        eap
    }}
    post-auth {{
{post_auth}
    }}
}}
"""

OVER_TLS = """
    listen {{
        type = auth
        proto = tcp
        ipaddr = 127.0.0.1
        port = {port}
        clients = radsec
        tls {{
            private_key_file = {place}/radsec-server.key
            certificate_file = {place}/radsec-server.pem
            auto_chain = no
            ca_file = {place}/radsec-ca.pem
            require_client_cert = yes
            tls_min_version = "1.2"
            tls_max_version = "1.3"
            fragment_size = 8192
        }}
    }}
"""

HOSTAPD = """
driver=none
eap_server=1
eap_user_file={here}/users
ca_cert={pki}/{ca}.pem
server_cert={pki}/cp.pem
private_key={pki}/cp.key
check_crl={crl}
fragment_size={fragment}
tls_flags={flags}
radius_server_clients={here}/clients
radius_server_auth_port={port}
check_cert_subject={subject}
"""
FLAGS = {"1.3": "[ENABLE-TLSv1.3][DISABLE-TLSv1.2]", "1.2": "[DISABLE-TLSv1.3]"}


def freeradius(here: Path, pki: Path, port: int, **values: Any) -> Sequence[str]:
    """Write its files; give the command. Threads, or RADIUS over TLS is not served."""
    ours = {"tls": "1.3", "fragment": 1300, "ca": "ci", "crl": "no", "radsec": "", "post_auth": ""}
    here.mkdir(exist_ok=True)
    here.chmod(0o755)
    (here / "dictionary").write_text("$INCLUDE /usr/share/freeradius/dictionary\n")
    text = FREERADIUS.format(here=here, pki=pki, port=port, secret=SECRET, **{**ours, **values})
    (here / "radiusd.conf").write_text(text)
    for path in here.iterdir():
        path.chmod(0o640)
    place = str(here)
    return [find("freeradius") or "freeradius", "-fxx", "-l", "stdout", "-d", place, "-D", place, "-n", "radiusd"]


def hostapd(here: Path, pki: Path, port: int, eid: Eid, **values: Any) -> Sequence[str]:
    """Write its files for the one device that it can vouch for; give the command.

    hostapd cannot put the subject of a certificate into its answer, and looks at no serialNumber in one. What it can:
    believe one common name, and say whose that is.
    """
    ours = {"tls": "1.3", "fragment": 1300, "ca": "ci", "crl": 0, "subject": f"/CN={eid}"}
    values = {**ours, **values}
    here.mkdir(exist_ok=True)
    (here / "users").write_text(f"* TLS\nradius_accept_attr=1:s:{eid}\n")
    (here / "clients").write_text(f"127.0.0.1/32 {SECRET}\n")
    text = HOSTAPD.format(here=here, pki=pki, port=port, flags=FLAGS[values["tls"]], **values)
    (here / "hostapd.conf").write_text(text)
    return [find("hostapd") or "hostapd", str(here / "hostapd.conf")]


class Plain:
    """Devices under an EUM without nameConstraints, and the CRLs that OpenSSL wants beside its anchors."""

    def __init__(self, net: BehindAaa, ci: str = "ci") -> None:
        self.pki = net.files.pki
        self.terms: Any = {"now": datetime.now(UTC) - timedelta(days=2), "entropy": secrets.token_bytes, "days": 30}
        self.ci, self.ci_key = load_chain(self.pki / f"{ci}.pem")[0], load_key(self.pki / f"{ci}.key")
        self.eum_key = issue.private_key(secrets.token_bytes)
        self.eum = issue.make_eum(
            self.ci, self.ci_key, self.eum_key.public_key(), "plain EUM", EID_PREFIX, "extension", **self.terms
        )

    @classmethod
    def under_another_ci(cls, net: BehindAaa) -> "Plain":
        terms: Any = {"now": datetime.now(UTC) - timedelta(days=2), "entropy": secrets.token_bytes}
        key = issue.private_key(secrets.token_bytes)
        write(net.files.pki, "another-ci", key, issue.make_ci(key, **terms))
        return cls(net, "another-ci")

    def equip(self, device: Device, eid: Eid | None = None, **over: Any) -> Device:
        """Give the device a certificate, of its own EID unless it is to lie."""
        eid = eid or device.eid
        key = issue.private_key(secrets.token_bytes)
        terms = {**self.terms, "name": str(eid), **over}
        leaf = issue.make_device(self.eum, self.eum_key, key.public_key(), eid, **terms)
        self.leaf = leaf
        name = f"plain-{secrets.token_hex(4)}"
        write(self.pki, name, key, leaf, self.eum)
        chain, own = (ReadPath(self.pki / f"{name}.{kind}") for kind in ("pem", "key"))
        return device.but(credential=CredentialSettings(chain=chain, key=own))

    def revoke(self, *certificates: x509.Certificate) -> str:
        """Write the CI's certificate with current CRLs behind it; gives the name of the file."""
        serials = {certificate.serial_number: self.terms["now"] for certificate in certificates}
        now = datetime.now(UTC) - timedelta(minutes=5)
        crls = (
            issue.make_crl(self.ci, self.ci_key, {}, 1, now),
            issue.make_crl(self.eum, self.eum_key, serials, 1, now),
        )
        octets = b"".join(item.public_bytes(Encoding.PEM) for item in (self.ci, *crls))
        (self.pki / "ci-and-crls.pem").write_bytes(octets)
        return "ci-and-crls"


def write(place: Path, name: str, key: ec.EllipticCurvePrivateKey, *chain: x509.Certificate) -> None:
    (place / f"{name}.pem").write_bytes(b"".join(item.public_bytes(Encoding.PEM) for item in chain))
    (place / f"{name}.key").touch(mode=0o600)
    (place / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
