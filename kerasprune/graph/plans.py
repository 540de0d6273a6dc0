"""The decision as data: immutable, cannot be illegal, JSON with the fingerprint of its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import lt
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from kerasprune.checks import choice_faults, kind_faults
from kerasprune.defaults import COUPLINGS
from kerasprune.errors import PruneError, nearest, raise_faults, short
from kerasprune.files import DeniedError, is_file, path_of, read_json, write_json
from kerasprune.graph.graph import ChannelGraph
from kerasprune.tables import Part, Shown, Table

FORMAT = "kerasprune.plan"
VERSION = 1
_OPTIONAL = ("pushed",)
_PUSHED = ("", "filter", "channel", "scale")
_LONGEST = 100
_KEYS = ("format", "version", "fingerprint", "coupling", "resolution", "removed", "keep")


@dataclass(frozen=True)
class Plan(Shown):
    """The channels and blocks that a model keeps.

    Args:
        keep: `{group name: indices kept}`, sorted, without repetition, not empty. Other groups are kept
            whole.
        removed: Names of the blocks to drop. Defaults to none.
        resolution: Side of the inputs, in pixels. Defaults to the model's own.
        coupling: The `coupling` of the graph that the plan was made for, see `kp.trace`. Defaults to `"tied"`.
        fingerprint: Fingerprint of the model's architecture; `""` for a plan made by hand.
        pushed: The weights that a growing penalty should have made small, so that `kp.rebuild` can warn if they are
            not: `"filter"` or `"channel"` kernels, or the `"scale"` of BatchNorms. Ignored when plans are compared.
            Defaults to `""`: none.

    Raises:
        PruneError: The plan is invalid; the message lists every fault.

    Example:
        >>> plan = Plan({"conv1": [0, 2, 3]})
        >>> plan.keep["conv1"]
        (0, 2, 3)
    """

    keep: Mapping[str, Sequence[int]]
    removed: Sequence[str] = ()
    resolution: int | None = None
    coupling: str = "tied"
    fingerprint: str = ""
    pushed: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        faults: list[str] = []
        keep = _checked_keep(self.keep, faults)
        removed = _checked_names(self.removed, faults)
        if self.resolution is not None and (not _is_of_whole_numbers(type(self.resolution)) or self.resolution < 1):
            faults.append(f"Expected resolution to be a positive number of pixels. Received: {short(self.resolution)}.")
        faults += choice_faults(COUPLINGS, coupling=self.coupling)
        if not isinstance(self.fingerprint, str):
            faults.append(f"Expected fingerprint to be a string. Received: {short(self.fingerprint)}.")
        faults += choice_faults(_PUSHED, pushed=self.pushed)
        raise_faults("Invalid arguments for Plan:", faults)
        object.__setattr__(self, "keep", MappingProxyType(keep))
        object.__setattr__(self, "removed", removed)
        object.__setattr__(self, "resolution", None if self.resolution is None else int(self.resolution))

    @classmethod
    def of(
        cls,
        graph: ChannelGraph,
        keep: Mapping[str, Sequence[int] | np.ndarray],
        removed: Sequence[str] = (),
        resolution: int | None = None,
    ) -> Plan:
        """Returns a plan for a model: with the coupling and the fingerprint of its graph.

        Args:
            graph: The graph of the model.
            keep: `{group name: indices kept}`; other groups are kept whole.
            removed: Names of the blocks to drop. Defaults to none.
            resolution: Side of the inputs, in pixels. Defaults to the model's own.

        Raises:
            PruneError: The plan is invalid; the message lists every fault.

        Example:
            >>> import keras
            >>> from kerasprune.graph.trace import trace
            >>> dense = keras.layers.Dense
            >>> graph = trace(keras.Sequential([keras.Input((4,)), dense(3, name="first"), dense(2)]))
            >>> Plan.of(graph, {"first": [0, 2]}).fingerprint == graph.fingerprint
            True
        """
        return cls(keep, removed, resolution, graph.coupling, graph.fingerprint)

    def __hash__(self) -> int:
        return hash((tuple(self.keep.items()), self.removed, self.resolution, self.coupling))

    def __reduce__(self) -> tuple:
        return Plan, (dict(self.keep), self.removed, self.resolution, self.coupling, self.fingerprint, self.pushed)

    def __repr__(self) -> str:
        channels = sum(map(len, self.keep.values()))
        keep = repr(dict(self.keep))
        keep = keep if len(keep) <= _LONGEST else f"<{channels} channels of {len(self.keep)} groups>"
        removed = f"{list(self.removed)}" if len(self.removed) <= 3 else f"<{len(self.removed)} blocks>"
        parts = {"keep": keep, "removed": self.removed and removed, "resolution": self.resolution}
        names = {"coupling": self.coupling, "fingerprint": self.fingerprint[:8], "pushed": self.pushed}
        parts |= {name: repr(text) for name, text in names.items() if text}
        return f"Plan({', '.join(f'{name}={part}' for name, part in parts.items() if part)})"

    def _shown(self) -> list[Part]:
        rows = [(name, str(len(kept))) for name, kept in self.keep.items()]
        words = {"blocks dropped whole": ", ".join(self.removed), "side of the inputs": str(self.resolution or "")}
        return [Table(("group", "channels kept"), rows), *(f"{name}: {text}" for name, text in words.items() if text)]

    def check(self, graph: ChannelGraph) -> None:
        """Checks the plan against a model's groups.

        Raises:
            PruneError: It is for another model or coupling, or names channels that do not exist or are pinned.
        """
        if self.fingerprint and self.fingerprint != graph.fingerprint:
            strange = [name for name in self.keep if name not in graph.groups]
            names = f", with a group {short(strange[0])} that this one lacks" if strange else ""
            numbered = (
                " Keras numbers layers without a name on: give names, or call keras.utils.clear_session() before."
            )
            raise PruneError(
                f"Expected a plan of the model {graph.model.name!r} (fingerprint {graph.fingerprint}). "
                f"Received: a plan of another model (fingerprint {self.fingerprint[:32]}){names}. "
                f"Make a new plan with kp.plan().{numbered if strange else ''}"
            )
        faults = []
        if self.keep and self.coupling != graph.coupling:
            faults.append(f"the plan has coupling={self.coupling!r}. Received: a graph with {graph.coupling!r}.")
        for name, kept in self.keep.items():
            group = graph.groups.get(name)
            if group is None:
                faults.append(f"no group is called {short(name)}.{nearest(name, graph.groups)}")
            elif kept[-1] >= group.size:
                faults.append(f"group {short(name)} has {group.size} channels. Received: index {kept[-1]}.")
            elif not group.prunable and len(kept) < group.size:
                faults.append(f"group {short(name)} must be kept whole: {group.reason}.")
        for name in self.removed:
            if name not in graph.blocks:
                faults.append(f"no droppable block is called {short(name)}.{nearest(name, graph.blocks)}")
        raise_faults(f"The plan does not fit the model {graph.model.name!r}:", faults)

    def then(self, later: Plan) -> Plan:
        """Returns the plan equal to this one followed by `later`, which was made for the slim model.

        Args:
            later: A plan for the model rebuilt with this plan; its indices count the channels that are left.

        Raises:
            PruneError: `later` keeps channels that this plan removes, or has another coupling.
        """
        coupling = self.coupling if self.keep else later.coupling
        if later.keep and later.coupling != coupling:
            raise PruneError(f"Expected two plans of one coupling. Received: {self.coupling!r} and {later.coupling!r}.")
        keep: dict[str, Sequence[int]] = dict(self.keep)
        faults = []
        for name, indices in later.keep.items():
            before = self.keep.get(name)
            if before is not None and indices[-1] >= len(before):
                faults.append(f"group {short(name)} has {len(before)} channels left. Received: index {indices[-1]}.")
            else:
                keep[name] = indices if before is None else [before[i] for i in indices]
        raise_faults("The later plan does not fit the model that this one leaves:", faults)
        removed = (*self.removed, *(name for name in later.removed if name not in self.removed))
        return Plan(keep, removed, later.resolution or self.resolution, coupling, self.fingerprint)

    def save(self, path: str | Path) -> Path:
        """Writes the plan as JSON, in one step, and returns the path; an older plan there is replaced.

        Raises:
            PruneError: Another file than a plan exists there.
        """
        if not _may_replace(path_of(path)):
            raise PruneError(
                f"Expected a new file, or one that holds a plan. Received: path={str(path)!r}, which holds something "
                "else. Give another path, or remove it first."
            )
        return write_json(
            path,
            {
                "format": FORMAT,
                "version": VERSION,
                "fingerprint": self.fingerprint,
                "coupling": self.coupling,
                "resolution": self.resolution,
                "removed": list(self.removed),
                "keep": {name: list(kept) for name, kept in self.keep.items()},
                **({"pushed": self.pushed} if self.pushed else {}),
            },
        )

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Reads a plan that `save` wrote.

        Raises:
            PruneError: The file is missing, truncated or no legal plan; every fault is listed.
        """
        data = read_json(path, "a readable plan file")
        faults = _faults_of_file(data)
        raise_faults(f"{str(path)!r} is not a plan:", faults)
        try:
            required = (data[key] for key in ("keep", "removed", "resolution", "coupling", "fingerprint"))
            return cls(*required, data.get("pushed", ""))
        except PruneError as error:
            raise PruneError(f"{str(path)!r}: {error}") from error


def plan_faults(**values: Any) -> list[str]:
    """Returns a fault for every value that is not a plan, such as a path."""
    return kind_faults(Plan, "Read a file with kp.Plan.load(path).", **values)


def _may_replace(path: Path) -> bool:
    """Returns whether a path is free, an empty file or a plan."""
    try:
        return not is_file(path) or not path.stat().st_size or read_json(path).get("format") == FORMAT
    except DeniedError:
        raise
    except (PruneError, AttributeError):
        return False


def _faults_of_file(data: Any) -> list[str]:
    if not isinstance(data, dict):
        return [f"Expected a JSON object. Received: {type(data).__name__}."]
    faults = [f"Expected the key {key!r}." for key in _KEYS if key not in data]
    unknown = [key for key in data if key not in (*_KEYS, *_OPTIONAL)]
    faults += [f"Received: unknown key {short(key)}.{nearest(key, _KEYS)}" for key in unknown]
    if data.get("format", FORMAT) != FORMAT:
        faults.append(f"Expected format {FORMAT!r}. Received: {short(data['format'])}.")
    if data.get("version", VERSION) != VERSION:
        faults.append(f"Expected version {VERSION}. Received: {short(data['version'])}. Update kerasprune.")
    return faults


def _checked_keep(keep: Any, faults: list[str]) -> dict[str, tuple[int, ...]]:
    if not isinstance(keep, Mapping):
        faults.append(f"Expected keep to be a dict of group names. Received: keep={short(keep)}.")
        return {}
    given = {
        name: indices.tolist() if isinstance(indices, np.ndarray) else indices
        for name, indices in sorted(keep.items(), key=lambda item: str(item[0]))
    }
    wrong = {name: fault for name, indices in given.items() if (fault := _fault_of_indices(name, indices))}
    faults += wrong.values()
    return {name: tuple(map(int, indices)) for name, indices in given.items() if name not in wrong}


def _fault_of_indices(name: Any, indices: Any) -> str:
    if not isinstance(name, str):
        return f"Expected group names. Received: {short(name)}."
    if isinstance(indices, str | bytes) or not isinstance(indices, Sequence):
        return f"Expected the indices of group {short(name)} as a list. Received: {short(indices)}."
    if len(indices) == 0:
        return (
            f"Expected group {short(name)} to keep at least one channel. Received: []. If the group belongs to a "
            "block (graph.blocks), drop the block with removed=."
        )
    if not all(map(_is_of_whole_numbers, set(map(type, indices)))) or min(indices) < 0:
        return f"Expected whole indices from 0 in group {short(name)}. Received: {_beginning(indices)}."
    if not all(map(lt, indices, islice(indices, 1, None))):
        return f"Expected sorted indices without repetition in group {short(name)}. Received: {_beginning(indices)}."
    return ""


def _beginning(indices: Sequence[Any]) -> str:
    return f"{short(list(indices[:8]))}{'…' if len(indices) > 8 else ''}"


def _checked_names(names: Any, faults: list[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(n, str) for n in names):
        faults.append(f"Expected removed to be a list of block names. Received: removed={short(names)}.")
        return ()
    if len(set(names)) < len(names):
        faults.append(f"Expected every removed block once. Received: removed={short(list(names))}.")
    return tuple(names)


def _is_of_whole_numbers(kind: type) -> bool:
    return issubclass(kind, int | np.integer) and not issubclass(kind, bool)
