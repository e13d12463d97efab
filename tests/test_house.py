"""The rules of the house, made executable: who may import whom, what the core may not touch, how things are named.

Each rule is a function from one parsed module to complaints; `test_the_rule_catches` shows that each of them bites.
Whoever needs an exception writes it into one of the tables here, with its reason.
"""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("asn1",),  # grammars, no code
    ("errors", "causes"),
    ("model",),
    ("wire", "crypto"),
    ("auth", "security", "session", "provision"),
    ("procedure",),
    ("config", "store", "transport", "trace"),
    ("daemon",),
    ("wiring",),
    ("cli", "__main__"),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
SAME_ROOM = ({"errors", "causes"}, {"cli", "__main__"})
"""Top names that are one room though they are two files."""

HIGHEST_PURE_FLOOR = FLOOR_OF["procedure"]


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


IMPURE_MODULES = words(
    """asyncio concurrent http logging multiprocessing os random secrets select selectors shutil signal socket
    socketserver sqlite3 ssl subprocess sys tempfile threading time urllib uuid anyio click h11 httpcore
    prometheus_client rich sqlalchemy uvloop yaml OpenSSL"""
)
"""What the pure core may not import: waiting, sockets, clocks, chance, files, terminals."""

IMPURE_CALLS = words(
    """now utcnow today open input print urandom getrandbits token_bytes uuid1 uuid4
    generate_private_key random_serial_number generate_key generate"""
)
"""Calls that read a clock, draw from the machine's randomness or touch files. Time and entropy are arguments."""

IMPURITY_ALLOWED = {
    "rprov/crypto/tls.py": "OpenSSL has a clock and randomness of its own; a Connection is no value",
    "rprov/crypto/tls_channel.py": "the same engine for links that last",
    "rprov/crypto/tls_context.py": "what connections of the engine share, keys and anchors inside OpenSSL",
    "rprov/crypto/tls_openssl.py": "what the TLS engine needs of OpenSSL and pyOpenSSL does not offer",
}
"""The one exception to purity (docs/architecture.md)."""

WIDE_EXCEPT_ALLOWED: dict[str, str] = {
    "rprov/cli/main.py:run": "the boundary to the person: a mistake of ours is one line, not a traceback",
    "rprov/daemon/mailbox.py:Mailbox._run": "the shell's task boundary: closes that one UE",
    "rprov/store/writer.py:Writer._do": "the boundary between threads: whoever awaits the job gets its error",
}
"""`file.py:function` -> why it may catch everything. Only the shell's task boundary has a reason."""

GET_ALLOWED: dict[str, str] = {
    "get_extra_info": "the name is httpcore's and asyncio's: an override",
    "get_command": "the name is click's: an override",
}

MAX_LINES = 400
HOMELESS = frozenset({"util", "utils", "misc", "common", "helper", "helpers", "manager", "managers"})


@dataclass(frozen=True)
class Source:
    """One module of rprov, parsed."""

    path: str
    text: str
    tree: ast.Module

    @classmethod
    def of(cls, path: str, text: str) -> "Source":
        return cls(path, text, ast.parse(text))

    @property
    def parts(self) -> tuple[str, ...]:
        parts = Path(self.path).with_suffix("").parts
        return parts[:-1] if parts[-1] == "__init__" else parts

    @property
    def room(self) -> str | None:
        """The name below `rprov`; None for `rprov/__init__.py`."""
        return self.parts[1] if len(self.parts) > 1 else None

    @property
    def pure(self) -> bool:
        return self.room in FLOOR_OF and FLOOR_OF[self.room] <= HIGHEST_PURE_FLOOR

    @property
    def impurity_allowed(self) -> bool:
        return any(self.path == name or (name[-1] == "/" and self.path.startswith(name)) for name in IMPURITY_ALLOWED)


@cache
def sources() -> tuple[Source, ...]:
    """Every module of rprov (rprov/asn1 is a link to the grammars)."""
    found = []
    for path in sorted((ROOT / "rprov").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        found.append(Source.of(name, path.read_text(encoding="utf-8")))
    return tuple(found)


def imported(source: Source) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = source.parts if source.path.endswith("__init__.py") else source.parts[:-1]
                base = ".".join((*package[: len(package) - node.level + 1], *filter(None, [node.module])))
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


Rule = Callable[[Source], Iterator[str]]


def known_room(source: Source) -> Iterator[str]:
    if source.room is not None and source.room not in FLOOR_OF:
        yield f"{source.path}: the house has no room {source.room!r}; FLOORS in tests/test_house.py lists them"


def imports_point_down(source: Source) -> Iterator[str]:
    if source.room not in FLOOR_OF:
        return
    own = FLOOR_OF[source.room]
    for line, name in imported(source):
        parts = name.split(".")
        if parts[0] != "rprov" or len(parts) < 2 or parts[1] in (source.room, "__version__"):
            continue
        if parts[1] not in FLOOR_OF:
            yield f"{source.path}:{line}: imports {name}, and the house has no room {parts[1]!r}"
            continue
        other = FLOOR_OF[parts[1]]
        if other > own:
            yield f"{source.path}:{line}: floor {own} ({source.room}) imports {name} from floor {other} above it"
        elif other == own and {source.room, parts[1]} not in SAME_ROOM:
            yield f"{source.path}:{line}: {source.room} imports {name}: siblings on floor {own} do not know each other"


def core_is_pure(source: Source) -> Iterator[str]:
    if source.pure and not source.impurity_allowed:
        yield from impurities(source)


def impurities(source: Source) -> Iterator[str]:
    for line, name in imported(source):
        if name.split(".")[0] in IMPURE_MODULES:
            yield f"{source.path}:{line}: the pure core (floors 1-5) imports {name}; take it as an argument (Env)"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith | ast.AsyncFunctionDef):
            yield f"{source.path}:{node.lineno}: the pure core never waits (await or async)"
        elif isinstance(node, ast.Call) and _called(node) in IMPURE_CALLS:
            yield f"{source.path}:{node.lineno}: the pure core calls {_called(node)}(); time and chance are arguments"


def _called(node: ast.Call) -> str:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def no_assert(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Assert):
            yield f"{source.path}:{node.lineno}: `assert` vanishes under -O; raise an error of rprov.errors"


def no_wide_except(source: Source) -> Iterator[str]:
    for function, line, what in wide_excepts(source):
        if f"{source.path}:{function}" not in WIDE_EXCEPT_ALLOWED:
            yield (
                f"{source.path}:{line}: {what} in {function or 'the module'}; only the shell's task boundary may "
                "(WIDE_EXCEPT_ALLOWED)"
            )


def wide_excepts(source: Source) -> Iterator[tuple[str, int, str]]:
    """Function, line and words of each handler that catches everything, unless it ends in `raise`: it tidies up."""
    for function, node in _with_function(source.tree, ""):
        if isinstance(node, ast.ExceptHandler) and not _raises_again(node):
            for kind in node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]:
                if kind is None:
                    yield function, node.lineno, "bare except"
                elif isinstance(kind, ast.Name) and kind.id in ("Exception", "BaseException"):
                    yield function, node.lineno, f"except {kind.id}"


def _raises_again(handler: ast.ExceptHandler) -> bool:
    leaves = any(isinstance(node, ast.Return | ast.Break | ast.Continue) for node in ast.walk(handler))
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None and not leaves


def _with_function(node: ast.AST, function: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        inner = function
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{function}.{child.name}".lstrip(".")
        yield inner, child
        yield from _with_function(child, inner)


def short_enough(source: Source) -> Iterator[str]:
    lines = source.text.count("\n")
    if lines > MAX_LINES:
        yield f"{source.path}: {lines} lines; {MAX_LINES} is the most, about 180 the aim: split it by what it owns"


def prints_only_in_cli(source: Source) -> Iterator[str]:
    if source.room in ("cli", "__main__"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{source.path}:{node.lineno}: print() outside cli/; report through a Recorder or a logger"


def names_have_a_home(source: Source) -> Iterator[str]:
    for part in source.parts:
        if HOMELESS & set(part.split("_")):
            yield f"{source.path}: {part!r} says nothing; a thing without a home is a room we have not named yet"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef):
            spoken = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+", node.name)}
            if HOMELESS & spoken:
                yield f"{source.path}:{node.lineno}: class {node.name}: {', '.join(HOMELESS & spoken)} says nothing"
        function = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else ""
        if function.startswith("get_") and function not in GET_ALLOWED:
            yield f"{source.path}:{node.lineno}: {function}: no get_; name what it gives"


def no_promises(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        if re.search(r"#.*\b(TODO|FIXME|XXX|HACK)\b", line):
            yield f"{source.path}:{number}: a promise in a comment; build it or open an issue"


def documented(source: Source) -> Iterator[str]:
    package = source.path.endswith("__init__.py")
    if not package and ast.get_docstring(source.tree) is None:
        yield f"{source.path}:1: the module says not what it owns and what it refuses to know"
    yield from _undocumented(source, source.tree, "")


def _undocumented(source: Source, node: ast.Module | ast.ClassDef, owner: str) -> Iterator[str]:
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or child.name.startswith("_"):
            continue
        decorators = {ast.unparse(item).split(".")[-1] for item in child.decorator_list}
        if decorators & {"overload", "setter", "override"}:
            continue
        if ast.get_docstring(child) is None:
            yield f"{source.path}:{child.lineno}: {owner}{child.name} has no docstring"
        if isinstance(child, ast.ClassDef):
            yield from _undocumented(source, child, f"{child.name}.")


def package_is_a_map(source: Source) -> Iterator[str]:
    if not source.path.endswith("__init__.py"):
        return
    for node in source.tree.body:
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        version = isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__"
        if not text and not version:
            yield f"{source.path}:{node.lineno}: a package's __init__ is empty or a docstring; import from the module"


RULES: tuple[Rule, ...] = (
    known_room,
    imports_point_down,
    core_is_pure,
    no_assert,
    no_wide_except,
    short_enough,
    prints_only_in_cli,
    names_have_a_home,
    no_promises,
    documented,
    package_is_a_map,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps(rule: Rule) -> None:
    complaints = [complaint for source in sources() for complaint in rule(source)]
    assert not complaints, "\n" + "\n".join(complaints)


BAD: tuple[tuple[Rule, str, str], ...] = (
    (known_room, "rprov/attic/box.py", ""),
    (imports_point_down, "rprov/wire/eap.py", "from rprov.procedure import s1_attach"),
    (imports_point_down, "rprov/wire/eap.py", "def f():\n    import rprov.crypto.kdf"),
    (imports_point_down, "rprov/model/env.py", "from rprov import cli"),
    (imports_point_down, "rprov/session/ip/tcp.py", "from ...auth import aka"),
    (imports_point_down, "rprov/store/orders.py", "if TYPE_CHECKING:\n    from rprov.trace.log import configure"),
    (core_is_pure, "rprov/procedure/ue.py", "import time"),
    (core_is_pure, "rprov/auth/aka.py", "from os import urandom"),
    (core_is_pure, "rprov/wire/eap.py", "async def f(): ..."),
    (core_is_pure, "rprov/crypto/x509.py", "when = datetime.now(UTC)"),
    (core_is_pure, "rprov/crypto/issue.py", "key = ec.generate_private_key(ec.SECP256R1())"),
    (no_assert, "rprov/wire/eap.py", "assert data"),
    (no_wide_except, "rprov/daemon/cp.py", "try:\n    f()\nexcept Exception:\n    pass"),
    (no_wide_except, "rprov/daemon/cp.py", "try:\n    f()\nexcept (OSError, BaseException):\n    pass"),
    (no_wide_except, "rprov/daemon/cp.py", "def f():\n    try:\n        g()\n    except:\n        return 1"),
    (no_wide_except, "rprov/daemon/cp.py", "try:\n    f()\nexcept Exception as e:\n    raise X from e"),
    (short_enough, "rprov/wire/eap.py", "\n" * 401),
    (prints_only_in_cli, "rprov/daemon/cp.py", "print('up')"),
    (names_have_a_home, "rprov/wire/utils.py", ""),
    (names_have_a_home, "rprov/wire/eap_helpers.py", ""),
    (names_have_a_home, "rprov/wire/eap.py", "class SessionManager: ..."),
    (names_have_a_home, "rprov/wire/eap.py", "def get_length(): ..."),
    (no_promises, "rprov/wire/eap.py", "x = 1  # TODO fragments"),
    (documented, "rprov/wire/eap.py", ""),
    (documented, "rprov/wire/eap.py", "'''EAP.'''\nclass Packet: ..."),
    (documented, "rprov/wire/eap.py", "'''EAP.'''\nclass Packet:\n    '''One.'''\n    def encode(self): ..."),
    (package_is_a_map, "rprov/wire/__init__.py", "from rprov.wire.eap import Packet"),
)


@pytest.mark.parametrize(("rule", "path", "text"), BAD, ids=lambda value: getattr(value, "__name__", None))
def test_the_rule_catches(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Source.of(path, text)))


def test_good_code_is_left_alone() -> None:
    text = (
        '"""EAP."""\nfrom rprov.errors import DecodeError\nimport struct\n\n\ndef encode() -> bytes:\n    """Give."""\n'
    )
    source = Source.of("rprov/wire/eap.py", text)
    assert [complaint for rule in RULES for complaint in rule(source)] == []
    tls = Source.of("rprov/crypto/tls.py", "from OpenSSL import SSL")
    assert list(core_is_pure(tls)) == []
    tidy = Source.of("rprov/daemon/udp.py", "try:\n    f()\nexcept BaseException:\n    close()\n    raise")
    assert list(no_wide_except(tidy)) == []


def test_every_exception_is_still_needed() -> None:
    wide = {f"{source.path}:{function}" for source in sources() for function, _, _ in wide_excepts(source)}
    stale = sorted(set(WIDE_EXCEPT_ALLOWED) - wide)
    assert not stale, f"WIDE_EXCEPT_ALLOWED names functions that no longer catch everything: {stale}"


def test_every_impurity_allowed_is_still_needed() -> None:
    impure = set()
    for source in sources():
        if source.impurity_allowed:
            for name in IMPURITY_ALLOWED:
                if source.path.startswith(name) and list(impurities(source)):
                    impure.add(name)
    stale = sorted(set(IMPURITY_ALLOWED) - impure)
    assert not stale, f"IMPURITY_ALLOWED names what has become pure: {stale}"


def test_every_vector_is_used() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py"))
    unused = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((TESTS / "vectors").rglob("*"))
        if path.is_file() and path.name not in tests and path.stem not in tests
    ]
    assert not unused, f"no test names these vectors: {unused}"


def test_every_test_file_has_a_name_of_its_own() -> None:
    names = Counter(path.name for path in TESTS.rglob("test_*.py"))
    twice = [name for name, count in names.items() if count > 1]
    assert not twice, f"pytest imports test files by their base name, and these stand twice: {twice}"
    packages = [path.relative_to(ROOT).as_posix() for path in TESTS.rglob("__init__.py")]
    assert not packages, f"tests are no packages: {packages}"
