"""The command `rprov`: finds the verb, runs it, and turns whatever ends it into one line and an exit code.

The verbs stand in one table and are imported when they are used, so that `rprov --help` answers at once.
"""

import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

import click

from rprov import __version__
from rprov.cli.openssl_conf import choose_openssl_conf
from rprov.cli.verb import Verb, VerbGroup
from rprov.errors import ConfigError, EnvironmentLacks, RprovError
from rprov.model.numbers import ExitCode

VERBS: dict[str, Verb] = {
    "demo": Verb("rprov.cli.demo", "demo", "Take devices from no subscription to an ordinary one, and show how."),
    "ue": Verb("rprov.cli.daemons", "ue", "Run a device."),
    "ran": Verb("rprov.cli.daemons", "ran", "Run a base station."),
    "cp": Verb("rprov.cli.daemons", "cp", "Run a core."),
    "smdp": Verb("rprov.cli.daemons", "smdp", "Run a provisioning server."),
    "aaa": Verb("rprov.cli.daemons", "aaa", "Run an AAA server: EAP-TLS behind RADIUS."),
    "pki": Verb("rprov.cli.pki", "pki", "Make and show the certificates of a test network."),
    "order": Verb("rprov.cli.order", "order", "Order profiles for devices."),
    "audit": Verb("rprov.cli.audit", "audit", "Check audit logs."),
    "ctl": Verb("rprov.cli.ctl", "ctl", "Ask the daemons that run on this machine."),
    "euicc": Verb("rprov.cli.euicc", "euicc", "Look into a software eUICC."),
    "trace": Verb("rprov.cli.trace", "trace", "Read captures of what was said."),
}
"""Every verb, in the order in which people need them."""


class Verbs(VerbGroup):
    """All of them."""

    verbs = VERBS


@click.command(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 the procedure failed, 2 wrong use or configuration, 3 the machine lacks something.",
)
@click.version_option(__version__, package_name="rprov", prog_name="rprov", message="%(prog)s %(version)s")
def rprov() -> None:
    """First subscription for a cellular IoT device over the cellular network itself (TR 23.799, solution 12.X)."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process."""
    given = sys.argv[1:] if arguments is None else arguments
    choose_openssl_conf(os.environ, given)  # before a verb is imported, and OpenSSL with it
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character is no reason to fail
    # RFC 5280 4.1.2.2: a serial number that is not positive makes no certificate. `cryptography` only warns of it, to
    # stderr, and every stranger could have it do so.
    warnings.filterwarnings("error", message="Parsed a serial number")
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give the exit code. The one place that turns an error into a line for a person."""
    try:
        outcome = rprov.main(args=arguments, prog_name="rprov", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show(sys.stderr)
        return ExitCode.WRONG_USE
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", ExitCode.INTERRUPTED)
    except ConfigError as error:
        return _fail(str(error), ExitCode.WRONG_USE)
    except EnvironmentLacks as error:
        return _fail(str(error), ExitCode.ENVIRONMENT_LACKS)
    except RprovError as error:
        return _fail(str(error), ExitCode.FAILED)
    except (BrokenPipeError, SystemExit):
        # Whoever read us has seen enough (`rprov … | head`): click ends so, and Python would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", ExitCode.ENVIRONMENT_LACKS)
    except Exception as error:
        if os.environ.get("RPROV_DEBUG"):
            raise
        kind = type(error).__name__
        return _fail(f"a mistake of rprov itself, {kind}: {error} (RPROV_DEBUG=1 shows where)", ExitCode.FAILED)
    return outcome if isinstance(outcome, int) else ExitCode.DONE


def _fail(text: str, code: ExitCode) -> ExitCode:
    lines = text.splitlines() or [code.name.lower().replace("_", " ")]
    for line in lines:
        print(f"rprov: {line}", file=sys.stderr)
    return code
