"""From what rules have said of channels to classes and groups: who is tied to whom, which of them always stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kerasprune.graph.channels import Group, Padded, Split
from kerasprune.graph.components import Components, components, distinct, signatures


@dataclass
class Said:
    """What was said of channels.

    Args:
        total: How many ids there are.
        names: Who made each run of ids.
        starts: The first id of each run.
        ties: Ids that live and die together, position by position.
        pins: Ids that always stay, and why.
        splits: Axes that were cut in two, or joined.
        padded: Sums whose branches may end narrower than their trunk.
        dead: Ids of channels that are removed with a dropped block.
    """

    total: int = 0
    names: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ties: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    pins: list[tuple[np.ndarray, str]] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    padded: list[Padded] = field(default_factory=list)
    dead: list[np.ndarray] = field(default_factory=list)

    def tie(self, one: np.ndarray, other: np.ndarray) -> None:
        """Ties two arrays of ids position by position."""
        self.ties.append((one.ravel(), other.ravel()))

    def pin(self, ids: np.ndarray, reason: str) -> None:
        """Says that these channels always stay, and why."""
        self.pins.append((ids.ravel(), reason))


@dataclass(frozen=True)
class Settled:
    """What follows: the class of every id, the groups by name, and the sums that may still be padded."""

    classes: np.ndarray
    groups: dict[str, Group]
    padded: list[Padded]


def settle(said: Said) -> Settled:
    """Returns the classes and groups that follow from everything that was said, which is left as it is."""
    said = replace(said, ties=list(said.ties), pins=list(said.pins), padded=list(said.padded))
    _settle_splits(said)
    _settle_sums(said)
    classes = components(said.total, said.ties)
    return Settled(classes, _groups(said, classes, _pinned(said, classes)), said.padded)


def _settle_splits(said: Said) -> None:
    """Decides which axis of every split carries the channels.

    The inner axis does, its positions tied over the outer one (a channel shuffle: every row loses the same),
    unless only the outer axis is free to shrink (attention: the inner axis is contracted, whole heads go).
    """
    so_far = Components(said.total, said.ties, [ids for ids, _ in said.pins]) if said.splits else None
    for split in said.splits:
        if so_far.free(split.inner) or not so_far.free(split.outer):
            carrying, other = np.broadcast_to(split.inner, split.flat.shape), split.outer
            reason = "the axis holds rows of channels that shrink together"
        else:
            carrying, other = np.broadcast_to(split.outer[:, None], split.flat.shape), split.inner
            reason = "the axis lies inside units that are dropped whole"
        said.tie(carrying, split.flat)
        said.pin(other, reason)
        so_far.tie(carrying.ravel(), split.flat.ravel())
        so_far.pin(other)


def _settle_sums(said: Said) -> None:
    """Ties sums whose branch cannot lose its last channels alone; a trunk is as wide as a pinned branch."""
    changed = bool(said.padded)
    while changed:
        changed, classes = False, components(said.total, said.ties)
        reasons = _pinned(said, classes)
        group = {c: name for name, each in _groups(said, classes, reasons).items() for c in each.classes.tolist()}
        for sum_ in list(said.padded):
            branch, trunk = classes[sum_.branch].tolist(), set(classes[sum_.trunk].tolist())
            if len(set(branch)) < len(branch) or len({group.get(c) for c in branch}) > 1:
                said.padded.remove(sum_)
                said.tie(sum_.trunk, sum_.branch)
                changed = True
            elif reasons.keys() & set(branch) and trunk - reasons.keys():
                said.pin(sum_.trunk, f"{sum_.node.operation.name!r} adds a branch whose channels always stay")
                changed = True


def _pinned(said: Said, classes: np.ndarray) -> dict[int, str]:
    """Returns the first reason why each pinned class is pinned."""
    reasons: dict[int, str] = {}
    for ids, reason in said.pins:
        for one in distinct(classes[ids]).tolist():
            reasons.setdefault(one, reason)
    return reasons


def _groups(said: Said, classes: np.ndarray, reasons: Mapping[int, str]) -> dict[str, Group]:
    """Returns the groups: classes that run through the same layers, pinned ones apart."""
    starts = np.asarray(said.starts, int)
    block = np.searchsorted(starts, np.arange(said.total), side="right") - 1
    pairs = np.stack(np.divmod(distinct(classes * len(starts) + block), max(len(starts), 1)))
    number = classes.max(initial=-1) + 1
    pinned = np.zeros(number, bool)
    pinned[list(reasons)] = True
    signature = signatures(pairs, len(starts), pinned)
    removed = set(classes[np.concatenate([np.zeros(0, int), *said.dead])].tolist())
    groups: dict[str, Group] = {}
    _, first, which = np.unique(signature, return_index=True, return_inverse=True)
    order = np.argsort(which, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(which))[:-1]) if number else []
    counts = np.bincount(pairs[0], minlength=number)
    begins = np.cumsum(counts) - counts
    for index in np.argsort(first):
        own = members[index]
        if own[0] in removed:
            continue
        begin = begins[own[0]]
        layers = tuple(dict.fromkeys(said.names[b] for b in pairs[1][begin : begin + counts[own[0]]]))
        name = _free_name(layers[0], groups)
        reason = reasons.get(int(own[0]), "")
        groups[name] = Group(name, len(own), layers, not reason, reason, own)
    return groups


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    """Returns `name`, or `name#2`, `name#3`… where it is taken."""
    if name not in taken:
        return name
    return next(f"{name}#{n}" for n in range(2, len(taken) + 3) if f"{name}#{n}" not in taken)
