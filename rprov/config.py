"""Configuration files: YAML on one side, settings on the other, and every mistake told at once with its line.

    cp.yaml:12: security.integrity[1]: unknown algorithm "NIA7" (expected one of NIA1, NIA2, NIA3)

The types of the settings (`model/settings.py`) say what a file may hold; this module only walks them. A scalar is read
from its very characters, so that YAML's own guesses (octal numbers, `no` as false) play no part. Relative paths are
relative to the file. Refuses to know what a setting means.
"""

import dataclasses
import types
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rprov.errors import ConfigError, DecodeError
from rprov.model.aaa import AaaSettings
from rprov.model.kinds import AtLeast, DatabaseUrl, ReadPath, Unfit, Within
from rprov.model.scalars import SCALARS
from rprov.model.settings import CpSettings, RanSettings, SmdpSettings, UeSettings

SettingsT = TypeVar("SettingsT", CpSettings, RanSettings, UeSettings, SmdpSettings, AaaSettings)

_PLAIN_TAGS = "tag:yaml.org,2002:"
_NULL = "tag:yaml.org,2002:null"
_SQLITE_FILE = "sqlite:///"
_BAD = object()
"""Stands where a value was refused; the complaint is noted."""


def load_cp(path: Path, *, files_must_exist: bool = True) -> CpSettings:
    """Read a CP's file; raises `ConfigError` with one line for each mistake."""
    return _load(CpSettings, path, files_must_exist)


def load_ran(path: Path, *, files_must_exist: bool = True) -> RanSettings:
    """Read a RAN's file; raises `ConfigError` with one line for each mistake."""
    return _load(RanSettings, path, files_must_exist)


def load_ue(path: Path, *, files_must_exist: bool = True) -> UeSettings:
    """Read a UE's file; raises `ConfigError` with one line for each mistake."""
    return _load(UeSettings, path, files_must_exist)


def load_smdp(path: Path, *, files_must_exist: bool = True) -> SmdpSettings:
    """Read an SM-DP+'s file; raises `ConfigError` with one line for each mistake."""
    return _load(SmdpSettings, path, files_must_exist)


def load_aaa(path: Path, *, files_must_exist: bool = True) -> AaaSettings:
    """Read an AAA server's file; raises `ConfigError` with one line for each mistake."""
    return _load(AaaSettings, path, files_must_exist)


def format_settings(settings: CpSettings | RanSettings | UeSettings | SmdpSettings | AaaSettings) -> str:
    """Write settings as the text of a file; reading it gives the same settings."""
    return yaml.safe_dump(_plain(type(settings), settings), sort_keys=False, allow_unicode=True)


def _load(shape: type[SettingsT], path: Path, files_must_exist: bool) -> SettingsT:
    node = _compose(path)
    reader = _Reader(path.parent, files_must_exist)
    settings = reader.read(shape, node, "")
    if reader.mistakes or not isinstance(settings, shape):
        raise ConfigError("\n".join(f"{path}:{line}: {text}" for line, text in reader.in_order()))
    return settings


def _compose(path: Path) -> Node:
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise ConfigError(f"{path}: not YAML: nested too deeply") from None
    if node is None:
        raise ConfigError(f"{path}:1: the file is empty")
    return node


@cache
def _hints(shape: type) -> dict[str, Any]:
    return get_type_hints(shape, include_extras=True)


def _take_apart(shape: Any) -> tuple[Any, tuple[object, ...]]:
    """Give a type without its annotations, and these."""
    if get_origin(shape) is Annotated:
        bare, *constraints = get_args(shape)
        return bare, tuple(constraints)
    return shape, ()


def _optional(shape: Any) -> Any:
    """Give X for `X | None`, else nothing."""
    if get_origin(shape) in (Union, types.UnionType):
        return next(kind for kind in get_args(shape) if kind is not types.NoneType)
    return None


class _Reader:
    def __init__(self, base: Path, files_must_exist: bool) -> None:
        self.mistakes: list[tuple[int, str]] = []
        self._base = base
        self._files_must_exist = files_must_exist

    def in_order(self) -> list[tuple[int, str]]:
        """The mistakes in the order of the file."""
        return sorted(self.mistakes, key=lambda mistake: mistake[0])

    def read(self, shape: Any, node: Node, at: str) -> Any:
        """Turn a node into a value of `shape`, or note why not."""
        bare, constraints = _take_apart(shape)
        if (wanted := _optional(bare)) is not None:
            return None if node.tag == _NULL else self.read(wanted, node, at)
        if not node.tag.startswith(_PLAIN_TAGS):
            return self._refuse(node, at, f"the tag {node.tag} has no meaning here")
        if get_origin(bare) is tuple:
            return self._list(get_args(bare)[0], constraints, node, at)
        if bare in SCALARS:
            return self._scalar(bare, constraints, node, at)
        return self._section(bare, node, at)

    def _refuse(self, node: Node, at: str, text: str) -> Any:
        self.mistakes.append((node.start_mark.line + 1, f"{at}: {text}" if at else text))
        return _BAD

    def _scalar(self, kind: Any, constraints: tuple[object, ...], node: Node, at: str) -> Any:
        scalar = SCALARS[kind]
        within = next((item for item in constraints if isinstance(item, Within)), None)
        expected = scalar.expected if within is None else f"{scalar.expected} {within}"
        if not isinstance(node, ScalarNode) or node.tag == _NULL:
            return self._refuse(node, at, f"expected {expected}, found {_found(node)}")
        if scalar.bare and node.style is not None:
            return self._refuse(node, at, f"expected {expected} without quotes, found {_found(node)}")
        try:
            value = self._at_home(kind, scalar.parse(node.value))
        except DecodeError as error:
            return self._refuse(node, at, str(error))
        except ValueError as error:
            return self._refuse(node, at, str(error) or f"expected {expected}, found {_found(node)}")
        if within is not None and not within.low <= value <= within.high:
            return self._refuse(node, at, f"expected {expected}, found {_found(node)}")
        return value

    def _at_home(self, kind: Any, value: Any) -> Any:
        """Take what names a file as relative to the configuration file."""
        if kind is DatabaseUrl and value.startswith(_SQLITE_FILE):
            return DatabaseUrl(_SQLITE_FILE + str(self._base / value.removeprefix(_SQLITE_FILE)))
        if kind not in (Path, ReadPath):
            return value
        path = self._base / value
        if kind is ReadPath and self._files_must_exist and not path.exists():
            raise ValueError(f"there is no file or directory {path}")
        return path

    def _list(self, kind: Any, constraints: tuple[object, ...], node: Node, at: str) -> Any:
        if not isinstance(node, SequenceNode):
            return self._refuse(node, at, f"expected a list, found {_found(node)}")
        least = next((item.items for item in constraints if isinstance(item, AtLeast)), 0)
        if len(node.value) < least:
            return self._refuse(node, at, f"expected a list of at least {least}, found an empty one")
        values = tuple(self.read(kind, item, f"{at}[{index}]") for index, item in enumerate(node.value))
        return _BAD if _BAD in values else values

    def _section(self, shape: Any, node: Node, at: str) -> Any:
        if not isinstance(node, MappingNode):
            return self._refuse(node, at, f"expected a section, found {_found(node)}")
        prefix = f"{at}." if at else ""
        given = self._keys(shape, node, prefix)
        values = {key: self.read(_hints(shape)[key], item, f"{prefix}{key}") for key, item in given.items()}
        for field in dataclasses.fields(shape):
            if field.name not in given and _required(field):
                values[field.name] = self._refuse(node, f"{prefix}{field.name}", "missing")
        if _BAD in values.values():
            return _BAD
        try:
            return shape(**values)
        except Unfit as error:
            return self._refuse(given.get(error.key, node), f"{prefix}{error.key}", str(error))

    def _keys(self, shape: Any, node: MappingNode, prefix: str) -> dict[str, Node]:
        """The known keys of a section; unknown and repeated ones are noted."""
        names = [field.name for field in dataclasses.fields(shape)]
        given: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key, item in node.value:
            name = key.value if isinstance(key, ScalarNode) else "?"
            if name in lines:
                self._refuse(key, f"{prefix}{name}", f"given twice (first in line {lines[name]})")
            elif name not in names:
                near = get_close_matches(name, names, 1)
                meant = f'; did you mean "{near[0]}"?' if near else ""
                self._refuse(key, f"{prefix}{name}", f"unknown key (expected one of {', '.join(names)}{meant})")
            else:
                given[name] = item
            lines.setdefault(name, key.start_mark.line + 1)
        return given


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _found(node: Node) -> str:
    match node:
        case ScalarNode(tag=tag) if tag == _NULL:
            return "nothing"
        case ScalarNode(value=text):
            return f'"{text}"' if len(text) <= 80 else f'"{text[:80]}…"'
        case SequenceNode():
            return "a list"
        case _:
            return "a section"


def _plain(shape: Any, value: Any) -> Any:
    """Turn a value of `shape` into what the YAML library writes."""
    bare, _ = _take_apart(shape)
    if (wanted := _optional(bare)) is not None:
        return _plain(wanted, value)
    if get_origin(bare) is tuple:
        return [_plain(get_args(bare)[0], item) for item in value]
    if bare in SCALARS:
        return SCALARS[bare].plain(value)
    hints: Mapping[str, Any] = _hints(bare)
    fields = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(bare))
    return {name: _plain(hints[name], item) for name, item in fields if item is not None}
