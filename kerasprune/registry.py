"""Named members of a family (criteria, budgets, callbacks, models): found by string, dict, class or instance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from kerasprune.errors import PruneError, nearest

Member = TypeVar("Member", bound=Callable[..., Any])


class Registry:
    """The members of one family, in alphabetical order of their names.

    Args:
        kind: What a member is called in error messages, e.g. `"criterion"`.

    Example:
        >>> criteria = Registry("criterion")
        >>> @criteria.add("ones")
        ... class Ones: ...
        >>> criteria.names()
        ['ones']
        >>> type(criteria.get("ones")).__name__
        'Ones'
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._members: dict[str, Callable[..., Any]] = {}

    def add(self, name: str) -> Callable[[Member], Member]:
        """Returns a decorator that makes a class or function known by `name`."""

        def decorate(member: Member) -> Member:
            if name in self._members:
                raise PruneError(f"The {self.kind} name is taken. Received: name={name!r}. Choose another name.")
            self._members[name] = member
            return member

        return decorate

    def names(self) -> list[str]:
        """Returns the known names, sorted."""
        return sorted(self._members)

    def member(self, name: str) -> Callable[..., Any]:
        """Returns the class or function called `name`."""
        if name not in self._members:
            raise PruneError(
                f"Expected a known {self.kind}: {', '.join(self.names())}. "
                f"Received: {name!r}.{nearest(name, self._members)}"
            )
        return self._members[name]

    def get(self, identifier: Any) -> Any:
        """Returns an instance for a name, a `{"name": …, **arguments}` dict, a class or an instance.

        Args:
            identifier: Any of the four spellings. An instance is returned as it is.

        Returns:
            The instance.

        Raises:
            PruneError: The name is unknown, or the arguments do not fit the member.
        """
        if isinstance(identifier, str):
            return self._make(identifier, {})
        if isinstance(identifier, dict):
            arguments = dict(identifier)
            name = arguments.pop("name", None)
            if name is None:
                raise PruneError(f"Expected a dict with a 'name'. Received: {self.kind}={identifier!r}.")
            return self._make(name, arguments)
        if isinstance(identifier, type):
            return identifier()
        return identifier

    def _make(self, name: str, arguments: dict[str, Any]) -> Any:
        member = self.member(name)
        try:
            return member(**arguments)
        except TypeError as error:
            raise PruneError(f"The {self.kind} {name!r} was not made: {error}. Received: {arguments!r}.") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())
