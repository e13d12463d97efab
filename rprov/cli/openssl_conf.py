"""The file that OpenSSL reads when it is loaded. Must be chosen before anything imports `cryptography` or `ssl`.

EAP-TLS takes no resumption, and OpenSSL can be kept from sending two useless tickets before the 0x00 in no other way.
"""

from collections.abc import MutableMapping
from pathlib import Path

import rprov

VARIABLE = "OPENSSL_CONF"
FILE = Path(rprov.__file__).with_name("openssl.cnf")


def choose_openssl_conf(environment: MutableMapping[str, str]) -> None:
    """Name our file, unless somebody has named one: that one has its reasons, and everything works with it too."""
    environment.setdefault(VARIABLE, str(FILE))
