"""Where daemons of a user leave their control sockets, and where `rprov ctl` looks for them."""

import os
import stat
import tempfile
from pathlib import Path

from rprov.errors import EnvironmentLacks


def run_directory() -> Path:
    """Name it: $RPROV_RUN_DIR, or `rprov` in $XDG_RUNTIME_DIR, for root in /run, else a directory of the user's."""
    if own := os.environ.get("RPROV_RUN_DIR"):
        return Path(own)
    if session := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(session) / "rprov"
    if os.geteuid() == 0:
        return Path("/run/rprov")
    return Path(tempfile.gettempdir()) / f"rprov-{os.geteuid()}"


def prepare_run_directory() -> Path:
    """Make it, for its user only; raises `EnvironmentLacks` where that cannot be had, or where others may enter."""
    place = run_directory()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = place.lstat()
    except OSError as error:
        raise EnvironmentLacks(f"{place}: cannot be made: {error.strerror}") from None
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o022:
        raise EnvironmentLacks(f"{place}: belongs to somebody else, or others may write there")
    return place
