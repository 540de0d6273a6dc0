"""From the declarations of rules to classes and groups: which channels are coupled, which are pinned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count

import numpy as np

from kerasprune.graph.channels import Group, Padded, Split


def components(total: int, ties: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Returns the channel class of every id, numbered by first id.

    Args:
        total: Number of ids.
        ties: Pairs of arrays of ids, tied position by position.

    Example:
        >>> import numpy as np
        >>> components(5, [(np.array([0, 1]), np.array([3, 4]))]).tolist()
        [0, 1, 2, 0, 1]
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not ties:
        return np.arange(total)
    left, right = (np.concatenate(side) for side in zip(*ties, strict=True))
    matrix = coo_matrix((np.ones(left.size, np.int8), (left, right)), shape=(total, total))
    labels = connected_components(matrix, directed=False)[1]
    # SciPy numbers components as it likes. The rank of a component's first id numbers them in the order of the model,
    # so that names of groups do not depend on the order in which ids were tied.
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


class Components:
    """Components of tied ids, and which of them are pinned, updated with every further tie.

    Args:
        total: Number of ids.
        ties: Pairs of arrays of ids, tied position by position.
        pins: Arrays of ids that are pinned.

    Example:
        >>> import numpy as np
        >>> found = Components(5, [(np.array([0, 1]), np.array([3, 4]))], [np.array([4])])
        >>> found.free(np.array([0, 2]))
        True
        >>> found.tie(np.array([2]), np.array([1]))
        >>> found.free(np.array([0, 2]))
        False
    """

    def __init__(self, total: int, ties: Sequence[tuple[np.ndarray, np.ndarray]], pins: Iterable[np.ndarray]) -> None:
        self._classes = components(total, ties)
        self._pinned = np.zeros(total, bool)
        for ids in pins:
            self.pin(ids)

    def tie(self, one: np.ndarray, other: np.ndarray) -> None:
        """Ties two arrays of ids position by position; only the components they touch are recomputed."""
        touched, place = np.unique(self._classes[np.stack([one, other])], return_inverse=True)
        parts = components(touched.size, [tuple(place.reshape(2, -1))])
        first = touched[np.unique(parts, return_index=True)[1]][parts]  # represents all of its part
        np.logical_or.at(self._pinned, first, self._pinned[touched])
        now = np.arange(self._pinned.size)
        now[touched] = first
        self._classes = now[self._classes]

    def pin(self, ids: np.ndarray) -> None:
        """Pins ids, and all that are tied to them."""
        self._pinned[self._classes[ids]] = True

    def free(self, ids: np.ndarray) -> bool:
        """Returns whether none of these ids is pinned."""
        return not self._pinned[self._classes[ids]].any()


def number_repeated(names: Iterable[str]) -> list[str]:
    """Returns names in order, of which those that occur more than once are numbered.

    Example:
        >>> number_repeated(["head", "box", "head"])
        ['head#1', 'box', 'head#2']
    """
    given = list(names)
    numbers = {name: count(1) for name, times in Counter(given).items() if times > 1}
    return [f"{name}#{next(numbers[name])}" if name in numbers else name for name in given]


def distinct(numbers: np.ndarray) -> np.ndarray:
    """Returns the distinct numbers in order: `np.unique`, fast for many nearly sorted ones."""
    ordered = np.sort(numbers, axis=None)
    return ordered[np.diff(ordered, prepend=ordered[:1] - 1) > 0]


def signatures(pairs: np.ndarray, blocks: int, pinned: np.ndarray) -> np.ndarray:
    """Returns a number for every class, equal for two classes in the same blocks of ids, both pinned or neither.

    Args:
        pairs: Distinct `(class, block)`, for every block of ids with an id of the class, of shape `(2, pairs)`.
        blocks: Number of blocks.
        pinned: For every class whether its channels are pinned.
    """
    # Every block has a random weight of 62 bits; a class sums those of its blocks. Equal sets have equal sums, unequal
    # ones differ but for a chance of about classes² / 2⁶². The last weight marks a pinned class.
    weight = np.random.default_rng(0).integers(1, 2**62, size=blocks + 1, dtype=np.uint64)
    signature = np.zeros(len(pinned), np.uint64)
    np.add.at(signature, pairs[0], weight[pairs[1]])
    signature[pinned] += weight[-1]
    return signature


@dataclass
class Couplings:
    """What the rules of a model have declared of its channels.

    Args:
        total: How many ids there are.
        names: The layer that made each run of ids.
        starts: The first id of each run.
        ties: Ids kept or pruned together, position by position.
        pins: Ids that are always kept, and the reason.
        splits: Axes that were split in two, or joined.
        padded: Sums whose branches may be narrower than the trunk.
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
        """Pins these channels."""
        self.pins.append((ids.ravel(), reason))


def settle(coupled: Couplings) -> tuple[np.ndarray, dict[str, Group], list[Padded]]:
    """Returns the class of every id, the groups by name, and the sums that may still be padded."""
    coupled = replace(coupled, ties=list(coupled.ties), pins=list(coupled.pins), padded=list(coupled.padded))
    _settle_splits(coupled)
    _settle_sums(coupled)
    classes = components(coupled.total, coupled.ties)
    return classes, _groups(coupled, classes, _pinned(coupled, classes)), coupled.padded


def _settle_splits(coupled: Couplings) -> None:
    """Decides which axis of every split carries the channels.

    The inner axis does, its positions tied over the outer one (channel shuffle: every row loses the same channels),
    unless only the outer axis can shrink (attention: the inner axis is contracted, whole heads are pruned).
    """
    so_far = Components(coupled.total, coupled.ties, [ids for ids, _ in coupled.pins]) if coupled.splits else None
    for split in coupled.splits:
        if so_far.free(split.inner) or not so_far.free(split.outer):
            carrying, other = np.broadcast_to(split.inner, split.flat.shape), split.outer
            reason = "the axis counts rows of channels, which are pruned together"
        else:
            carrying, other = np.broadcast_to(split.outer[:, None], split.flat.shape), split.inner
            reason = "the axis lies inside units that are pruned whole"
        coupled.tie(carrying, split.flat)
        coupled.pin(other, reason)
        so_far.tie(carrying.ravel(), split.flat.ravel())
        so_far.pin(other)


def _settle_sums(coupled: Couplings) -> None:
    """Ties sums whose branch cannot lose its last channels alone, and pins the trunk of a pinned branch."""
    changed = bool(coupled.padded)
    while changed:
        changed, classes = False, components(coupled.total, coupled.ties)
        reasons = _pinned(coupled, classes)
        group = {c: name for name, each in _groups(coupled, classes, reasons).items() for c in each.classes.tolist()}
        for sum_ in list(coupled.padded):
            branch, trunk = classes[sum_.branch].tolist(), set(classes[sum_.trunk].tolist())
            if len(set(branch)) < len(branch) or len({group.get(c) for c in branch}) > 1:
                coupled.padded.remove(sum_)
                coupled.tie(sum_.trunk, sum_.branch)
                changed = True
            elif reasons.keys() & set(branch) and trunk - reasons.keys():
                coupled.pin(sum_.trunk, f"{sum_.node.operation.name!r} adds a branch whose channels are always kept")
                changed = True


def _pinned(coupled: Couplings, classes: np.ndarray) -> dict[int, str]:
    """Returns the first reason why each pinned class is pinned."""
    reasons: dict[int, str] = {}
    for ids, reason in coupled.pins:
        for one in distinct(classes[ids]).tolist():
            reasons.setdefault(one, reason)
    return reasons


def _groups(coupled: Couplings, classes: np.ndarray, reasons: Mapping[int, str]) -> dict[str, Group]:
    """Returns the groups: classes that run through the same layers, pinned ones separately."""
    starts = np.asarray(coupled.starts, int)
    block = np.searchsorted(starts, np.arange(coupled.total), side="right") - 1
    pairs = np.stack(np.divmod(distinct(classes * len(starts) + block), max(len(starts), 1)))
    number = classes.max(initial=-1) + 1
    pinned = np.zeros(number, bool)
    pinned[list(reasons)] = True
    signature = signatures(pairs, len(starts), pinned)
    removed = set(classes[np.concatenate([np.zeros(0, int), *coupled.dead])].tolist())
    groups: dict[str, Group] = {}
    _, first, which = np.unique(signature, return_index=True, return_inverse=True)
    order = np.argsort(which, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(which))[:-1]) if number else []
    for index in np.argsort(first):
        own = members[index]
        if own[0] in removed:
            continue
        begin, end = np.searchsorted(pairs[0], (own[0], own[0] + 1))
        layers = tuple(dict.fromkeys(coupled.names[b] for b in pairs[1][begin:end]))
        name = free_name(layers[0], groups, "#")
        reason = reasons.get(int(own[0]), "")
        groups[name] = Group(name, len(own), layers, not reason, reason, own)
    return groups


def free_name(name: str, taken: Collection[str], sign: str) -> str:
    """Returns `name`, or if it is taken `name#2`, `name#3`…, with `#` the sign."""
    numbered = (f"{name}{sign}{number}" for number in count(2))
    return next(each for each in chain([name], numbered) if each not in taken)
