"""rprov as others install it: a wheel, a plain install, an editable one. In a venv that knows nothing else."""

import os
import shutil
import subprocess
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow

LOOK = """
from importlib import resources
import rprov, sys
names = sorted(p.name for p in resources.files("rprov.asn1").iterdir() if p.name.endswith(".asn"))
assert names, "no grammar came along"
assert all(resources.files("rprov.asn1").joinpath(name).read_text(encoding="utf-8").strip() for name in names)
from rprov.wire.messages import DetachAccept
from rprov.wire.nas_asn1 import NasAsn1
codec = NasAsn1()
assert codec.decode(codec.encode(DetachAccept())) == DetachAccept(), "the grammar does not work"
print(rprov.__file__)
print(" ".join(names))
"""


class Environment:
    """A fresh venv and a copy of the sources."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.bin = place / "venv" / "bin"
        self.source = place / "source"
        leave_out = shutil.ignore_patterns(
            ".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", "rprov-demo"
        )
        shutil.copytree(ROOT, self.source, symlinks=True, ignore=leave_out)
        venv.create(place / "venv", system_site_packages=False, with_pip=True, symlinks=True)

    def run(self, *command: str | Path) -> str:
        """What the command prints; its whole output when it fails. Runs far from the sources."""
        quiet = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        done = subprocess.run(
            list(map(str, command)),
            cwd=self.place,
            env=quiet | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}"
        return done.stdout

    def pip(self, *arguments: str | Path) -> None:
        self.run(self.bin / "python", "-m", "pip", "install", "--quiet", *arguments)

    def look(self) -> str:
        """Insist that what is installed works; give where it is and its grammars."""
        for command in ((self.bin / "rprov",), (self.bin / "python", "-m", "rprov")):
            words = self.run(*command, "--help")
            assert all(verb in words for verb in ("pki", "order", "euicc")), words
        return self.run(self.bin / "python", "-c", LOOK)


def test_a_wheel_a_plain_and_an_editable_install_all_work(tmp_path: Path) -> None:
    fresh = Environment(tmp_path)
    fresh.run(fresh.bin / "python", "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", fresh.place, fresh.source)
    (wheel,) = fresh.place.glob("rprov-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("LICENSE") for name in names), names
    assert not [name for name in names if name.startswith(("tests/", "asn1/"))]

    fresh.pip(wheel)
    of_wheel = fresh.look()
    assert "site-packages" in of_wheel

    fresh.pip("--no-deps", "--force-reinstall", fresh.source)
    assert fresh.look() == of_wheel

    fresh.pip("--no-deps", "--force-reinstall", "--editable", fresh.source)
    editable = fresh.look()
    assert str(fresh.source) in editable
    assert editable.splitlines()[1] == of_wheel.splitlines()[1]
