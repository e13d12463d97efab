"""The file that OpenSSL reads when it is loaded. Must be chosen before anything imports `cryptography` or `ssl`.

How many session tickets a server sends can be said to OpenSSL in no other way: none, or one where the daemon's
configuration enables resumption. So that configuration is looked at here, before the verb reads it.
"""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path

import click

import rprov
from rprov.errors import RprovError

VARIABLE = "OPENSSL_CONF"
FILE = Path(rprov.__file__).with_name("openssl.cnf")
FILE_WITH_TICKETS = Path(rprov.__file__).with_name("openssl_tickets.cnf")

_LOOK = click.Command(
    "look",
    params=[click.Option(["-c", "--config", "file"], type=Path), click.Option(["-v"], count=True)],
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
)
"""Finds the one option that matters among all others."""


def choose_openssl_conf(environment: MutableMapping[str, str], arguments: Sequence[str] = ()) -> None:
    """Name our file, unless somebody has named one: that one has its reasons, and everything works with it too."""
    if VARIABLE not in environment:
        environment[VARIABLE] = str(FILE_WITH_TICKETS if _wants_tickets(arguments) else FILE)


def _wants_tickets(arguments: Sequence[str]) -> bool:
    """Whether the daemon that this command line starts gives tickets. What is wrong with its file the verb will say."""
    load = _loaders().get(arguments[0]) if arguments else None
    if load is None:
        return False
    file = _LOOK.make_context("look", list(arguments[1:]), resilient_parsing=True).params["file"]
    try:
        return file is not None and load(file)
    except (RprovError, OSError):
        return False


def _loaders() -> Mapping[str, Callable[[Path], bool]]:
    """The verbs that serve EAP-TLS."""

    def cp(file: Path) -> bool:
        from rprov.config import load_cp

        return load_cp(file).eap_tls.resumption.enabled

    def aaa(file: Path) -> bool:
        from rprov.config import load_aaa

        return load_aaa(file).eap_tls.resumption.enabled

    return {"cp": cp, "aaa": aaa}
