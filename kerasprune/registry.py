"""The registry of a family, criteria, budgets, callbacks, models, …: from names to addresses "module:Name".

Each room has its own, in its `registry.py`: one new method is one new file and one line there. A member's module is
imported at the first look-up, so that names are listed, and help is printed, without Keras. Each folder of
`kerasprune/papers` lists its additions in `BRINGS`. `lazy` makes the public names of a package.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from kerasprune.errors import PruneError, extras, nearest, short

Member = TypeVar("Member", bound=Callable[..., Any])


class Registry:
    """The members of one family, in alphabetical order of their names.

    Args:
        kind: Noun for a member in error messages, e.g. `"criterion"`.
        built_in: `{name: "module:Name"}`, or classes, of the members in the package. Defaults to none.
        base: `"module:Name"` of the class that every member is or makes. Defaults to none: anything is a member.
        table: Name of this family in `BRINGS` of papers. Defaults to none: they add no member.

    Example:
        >>> criteria = Registry("criterion")
        >>> @criteria.add("ones")
        ... class Ones: ...
        >>> criteria.names()
        ['ones']
        >>> type(criteria.get("ones")).__name__
        'Ones'
    """

    def __init__(
        self,
        kind: str,
        built_in: Mapping[str, str | Callable[..., Any]] | None = None,
        base: str | None = None,
        table: str | None = None,
    ) -> None:
        self.kind = kind
        self.base = base
        self.table = table
        self._of_the_core = dict(built_in or {})
        self._added: dict[str, Callable[..., Any]] = {}

    @cached_property
    def built_in(self) -> dict[str, Any]:
        """The members in the package and its papers."""
        return self._of_the_core | additions_of_papers(self.table)

    def add(self, name: str) -> Callable[[Member], Member]:
        """Returns a decorator that makes a class or function known by `name`."""

        def decorate(member: Member) -> Member:
            if name in self.names():
                raise PruneError(f"The {self.kind} name is taken. Received: name={name!r}. Choose another name.")
            self._added[name] = member
            return member

        return decorate

    def names(self) -> list[str]:
        """Returns the known names, sorted."""
        return sorted({*self.built_in, *self._added})

    def address(self, name: str) -> str | Callable[..., Any]:
        """Returns the address of the class or function called `name`, or itself if it has none; imports nothing."""
        if name in self._added:
            return self._added[name]
        if name not in self.built_in:
            raise PruneError(
                f"Expected a known {self.kind}: {', '.join(self.names())}. "
                f"Received: {short(name)}.{nearest(str(name), self.names())}"
            )
        return self.built_in[name]

    def member(self, name: str) -> Callable[..., Any]:
        """Returns the class or function called `name`."""
        found = self.address(name)
        return import_address(found) if isinstance(found, str) else found

    def get(self, identifier: Any) -> Any:
        """Returns an instance for a name, a `{"name": …, **arguments}` dict, a class or an instance.

        Args:
            identifier: Any of the four spellings. An instance is returned as it is.

        Returns:
            The instance.

        Raises:
            PruneError: The name is unknown, the arguments do not fit the member, or it is not a member of the family.
        """
        found = {"name": identifier} if isinstance(identifier, str) else identifier
        if isinstance(found, dict):
            arguments = dict(found)
            name = arguments.pop("name", None)
            if not isinstance(name, str):
                raise PruneError(f"Expected a dict with a 'name'. Received: {self.kind}={identifier!r}.")
            found = self.made(self.member(name), name, arguments)
        elif isinstance(identifier, type):
            found = self.made(identifier, identifier.__name__, {})
        if self.base is not None and not isinstance(found, import_address(self.base)):
            raise PruneError(
                f"Expected a name ({', '.join(self.names())}), a dict with a 'name', a class or an instance of "
                f"{self.base.replace(':', '.')}. Received: {self.kind}={identifier!r}."
            )
        return found

    def made(self, member: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> Any:
        """Calls a member with arguments; raises `PruneError` if they do not fit."""
        try:
            return member(**arguments)
        except TypeError as error:
            received = short(dict(arguments))
            if lacking := _lacking(member, arguments):
                raise PruneError(
                    f"The {self.kind} {name!r} needs {', '.join(lacking)}. Received: {received}. Give "
                    f"{{'name': {name!r}, {lacking[0]!r}: …}}, in a recipe {{name: {name}, {lacking[0]}: …}}."
                ) from error
            raise PruneError(f"The {self.kind} {name!r} could not be made: {error}. Received: {received}.") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())


def _lacking(member: Callable[..., Any], given: Mapping[str, Any]) -> list[str]:
    """Returns the names of the arguments that a member needs and does not get."""
    known = inspect.signature(member).parameters.values()
    named = [each for each in known if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    return [each.name for each in named if each.default is each.empty and each.name not in given]


def docstring_of(address: str) -> str:
    """Returns the docstring of an address `"module:Name"`, read from its file: nothing is imported."""
    module, _, name = address.partition(":")
    tree = ast.parse(Path(find_spec(module).origin).read_text(encoding="utf-8"))
    return ast.get_docstring(next(each for each in tree.body if getattr(each, "name", None) == name)) or ""


def import_address(address: str) -> Any:
    """Returns the object of an address `"module:Name"`, or the module of `"module"`."""
    module, _, name = address.partition(":")
    with extras(f"{module}.{name}".rstrip(".")):
        found = importlib.import_module(module)
    return attrgetter(name)(found) if name else found


def additions_of_papers(table: str | None) -> dict[str, Any]:
    """Returns the additions of papers to a table, such as `{name: "module:Name"}`; nothing for `None`."""
    found: dict[str, Any] = {}
    if table is None:
        return found
    for paper in pkgutil.iter_modules([str(Path(__file__).parent / "papers")]):
        found |= importlib.import_module(f"kerasprune.papers.{paper.name}").BRINGS.get(table, {})
    return found


_IMPORT = re.compile(r"^from ([\w.]+) import (\w+) as (\w+)$", re.M)
_VALUE = re.compile(r"^(\w+) = (\w+)\.(\w+)$", re.M)


def lazy(package: str, table: str | None = None) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns `__getattr__`, `__dir__` and `__all__` of a package whose public names are imported on first use.

    The names are those of its stub `__init__.pyi`, which editors and type checkers read too, and the classes and
    functions that papers add to its family.

    Args:
        package: The dotted name of the package.
        table: Name of its family in `BRINGS` of papers. Defaults to none: they add no name.

    Example:
        >>> find, names, _ = lazy("kerasprune.export.latency")
        >>> find("Latency").__name__, names()[-2:]
        ('Latency', ['profile', 'profile_phone'])
    """
    public = _stub(package) | {address.rpartition(":")[2]: address for address in additions_of_papers(table).values()}

    def find(name: str) -> Any:
        if name not in public:
            raise AttributeError(f"Expected one of {', '.join(sorted(public))}. Received: {name!r}.")
        return import_address(public[name])

    return find, lambda: sorted(public), sorted(public)


def _stub(package: str) -> dict[str, str]:
    """Returns `{name: "module:Name"}` of the stub of a package, without names of papers that are not installed."""
    root = Path(__file__).parent
    text = (root.joinpath(*package.split(".")[1:]) / "__init__.pyi").read_text(encoding="utf-8")
    found = {alias: _address(root, module, name) for module, name, alias in _IMPORT.findall(text)}
    found |= {alias: f"{found[table]}.{name}" for alias, table, name in _VALUE.findall(text)}
    return {name: at for name, at in found.items() if not name.startswith("_") and _is_installed(root, at)}


def _is_installed(root: Path, address: str) -> bool:
    """Returns whether the folder of a paper, or of all, is there; other modules always are."""
    folder = re.split("[.:]", address)[1:3]
    return folder[0] != "papers" or root.joinpath(*folder).is_dir()


def _address(root: Path, module: str, name: str) -> str:
    """Returns the address of what a stub imports from a module: a module inside it, or a name."""
    inside = root.joinpath(*module.split(".")[1:], name)
    is_module = module == root.name or inside.is_dir() or inside.with_suffix(".py").is_file()
    return f"{module}{'.' if is_module else ':'}{name}"
