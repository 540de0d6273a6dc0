"""Evolutionary search over vectors of choices, with any judge and any limits: Algorithm 1 of MetaPruning.

A candidate is a tuple of integers, its *genes*, with 0 ≤ gene i < `choices[i]`. Limits are measured on many
candidates at once, arrays `(candidates, genes)`. The judge receives a list of new candidates and returns one score for
each, higher = better. The candidates depend on the scores and the seed only, so a judge that stores its scores lets a
killed search resume.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kerasprune.checks import interval_faults, seed_faults, whole_number_faults
from kerasprune.errors import PruneError, raise_faults, short, warn

Genes = tuple[int, ...]
Judge = Callable[[list[Genes]], Sequence[float | None]]
"""Returns a score for each candidate, higher = better; `None` or NaN if it has none."""
Draw = Callable[[np.random.Generator, int], np.ndarray]
"""`draw(generator, number)` returns random candidates, an array (number, genes)."""

_AT_ONCE = 256  # candidates that limits are measured on


@dataclass(frozen=True)
class Limit:
    """A constraint on candidates: `lowest ≤ measure(candidate) ≤ highest`.

    Args:
        name: The name of the measure in messages, e.g. `"macs"`.
        measure: A function from an array `(candidates, genes)` to one number, or boolean, per candidate.
        lowest: The lowest value allowed. Defaults to −∞.
        highest: The highest value allowed. Defaults to ∞.
        widen: The argument that widens the limit, for messages, e.g. `"delta="`. Defaults to `"Limit"`.

    Example:
        >>> import numpy as np
        >>> Limit("sum", lambda genes: genes.sum(axis=1), highest=3).met(np.array([[1, 2], [2, 2]])).tolist()
        [True, False]
    """

    name: str
    measure: Callable[[np.ndarray], np.ndarray]
    lowest: float = -np.inf
    highest: float = np.inf
    widen: str = "Limit"

    def met(self, genes: np.ndarray) -> np.ndarray:
        """Returns for each candidate whether it meets the limit."""
        measured = np.asarray(self.measure(genes), float)
        return (measured >= self.lowest) & (measured <= self.highest)


@dataclass(frozen=True)
class Judged:
    """A candidate with its score.

    Args:
        genes: Its choices.
        score: The judge's score; −∞ if that is not a number.
        generation: The generation it was judged in, from 0.
        origin: `"given"`, `"random"`, `"mutation"` or `"crossover"`.
    """

    genes: Genes
    score: float
    generation: int
    origin: str


@dataclass(frozen=True)
class Evolved:
    """The result of an evolutionary search.

    Args:
        best: The genes of the best candidate; of equal scores, the first.
        score: Its score.
        candidates: All judged candidates, in order.
    """

    best: Genes
    score: float
    candidates: tuple[Judged, ...]


def delta_faults(delta: float) -> list[str]:
    """Returns a fault if the half width of a window of fractions is out of range."""
    return interval_faults("(0, 1)", "a difference of fractions", delta=delta)


@dataclass(frozen=True)
class Evolution:
    """The evolutionary search of MetaPruning: in each generation, the best K candidates so far are mutated and crossed.

    The first generation is drawn at random within the limits. Each later one has `mutations` children, in which every
    gene of a parent changes with probability `mutation`, and `crossovers` children, each of whose genes comes from one
    of two parents. If too few new candidates are found within the limits, random ones fill the generation, as in the
    authors' code. No candidate is judged twice.

    Args:
        population: Number of candidates in the first generation, and the minimum in every later one. Defaults to 50.
        parents: K, the number of parents. Defaults to 10.
        mutations: Children by mutation per generation. Defaults to 25.
        crossovers: Children by crossover per generation. Defaults to 25.
        generations: Number of generations. Defaults to 20.
        mutation: Probability that a gene changes. Defaults to 0.1.
        tries: Maximum number of draws per generation, for each kind of children, to find enough that are new and within
            the limits. Defaults to 10,000.

    Example:
        >>> import numpy as np
        >>> def worth(candidates):  # of equal genes
        ...     return [-float(np.var(genes)) for genes in candidates]
        >>> six = Limit("sum", lambda genes: genes.sum(axis=1), lowest=6, highest=6)
        >>> Evolution(generations=5).run(worth, [5, 5, 5], limits=[six]).best
        (2, 2, 2)

    Reference:
        Liu et al., MetaPruning, ICCV 2019, arXiv 1903.10258, Algorithm 1; numbers of the authors' code.
    """

    population: int = 50
    parents: int = 10
    mutations: int = 25
    crossovers: int = 25
    generations: int = 20
    mutation: float = 0.1
    tries: int = 10_000

    def __post_init__(self) -> None:
        positive = {name: getattr(self, name) for name in ("population", "parents", "generations", "tries")}
        faults = whole_number_faults(1, **positive)
        faults += whole_number_faults(0, mutations=self.mutations, crossovers=self.crossovers)
        faults += interval_faults("(0, 1]", "a probability", mutation=self.mutation)
        raise_faults("Invalid arguments for Evolution:", faults)

    @property
    def most(self) -> int:
        """The largest number of candidates that are judged."""
        return self.population + (self.generations - 1) * max(self.population, self.mutations + self.crossovers)

    def run(
        self,
        judge: Judge,
        choices: Sequence[int],
        *,
        limits: Sequence[Limit] = (),
        draw: Draw | None = None,
        given: Sequence[Sequence[int]] = (),
        seed: int = 0,
    ) -> Evolved:
        """Searches for the candidate with the highest score.

        Args:
            judge: `judge(candidates) -> scores`; it never receives a candidate twice.
            choices: Number of choices of each gene.
            limits: Constraints on the candidates. Defaults to none.
            draw: Draws the random candidates; if limits are tight, draw near them. Defaults to `None`: every gene
                independently and uniformly.
            given: Candidates that the first generation begins with. Defaults to none.
            seed: Seed of all random draws. Defaults to 0.

        Returns:
            The best candidate, and all judged ones, fewer than requested if no others are found.

        Raises:
            PruneError: An argument is out of range, no candidate within the limits was found (the message gives the
                measures that were), or the judge returns the wrong number of scores or no number at all.
        """
        sizes = np.asarray(choices)
        given = _checked(sizes, given, limits, seed)
        search = _Search(sizes, tuple(limits), self.tries, np.random.default_rng(seed))
        draw = draw or (lambda generator, number: generator.integers(sizes, size=(number, sizes.size)))
        new = search.new(given, "given", len(given))
        new += search.fresh("random", self.population - len(new), draw)
        _check_first(new, search, self.population)
        judged = _judged(judge, new, 0)
        for generation in range(1, self.generations):
            new = self._children(search, np.array([each.genes for each in _best(judged, self.parents)]), draw)
            if not new:  # all candidates have been judged
                break
            judged += _judged(judge, new, generation)
        (best,) = _best(judged, 1)
        if best.score == -np.inf:
            raise PruneError(
                f"Expected a judge that returns numbers. Received: none for any of {len(judged)} candidates."
            )
        return Evolved(best.genes, best.score, tuple(judged))

    def _children(self, search: _Search, parents: np.ndarray, draw: Draw) -> list[tuple[Genes, str]]:
        """Returns the next generation, with the origin of each candidate."""
        new = search.fresh(
            "mutation", self.mutations, lambda generator, n: self._mutated(generator, parents, n, search)
        )
        if len(parents) > 1:
            new += search.fresh("crossover", self.crossovers, lambda generator, n: _crossed(generator, parents, n))
        return new + search.fresh("random", self.population - len(new), draw)

    def _mutated(self, generator: np.random.Generator, parents: np.ndarray, number: int, search: _Search) -> np.ndarray:
        """Returns parents with some genes changed to another choice, `(gene + (1 … choices − 1)) mod choices`."""
        sizes = search.sizes
        drawn = parents[generator.integers(len(parents), size=number)]
        changes = generator.random(drawn.shape) < self.mutation
        by = 1 + generator.integers(np.maximum(sizes - 1, 1), size=drawn.shape)
        return np.where(changes & (sizes > 1), (drawn + by) % sizes, drawn)


class _Search:
    """Draws candidates that are new and within the limits; arguments as for `Evolution.run`."""

    def __init__(
        self, sizes: np.ndarray, limits: tuple[Limit, ...], tries: int, generator: np.random.Generator
    ) -> None:
        self.limits = limits
        self.seen: set[Genes] = set()
        self.reached: list[tuple[float, float]] = [(np.inf, -np.inf)] * len(limits)
        self.sizes, self._tries, self._generator = sizes, tries, generator

    def fresh(self, origin: str, number: int, make: Draw) -> list[tuple[Genes, str]]:
        """Returns up to `number` new candidates within the limits, with their origin."""
        found: list[tuple[Genes, str]] = []
        left = self._tries
        while len(found) < number and left > 0:
            drawn = np.asarray(make(self._generator, min(_AT_ONCE, left)))
            self._check(drawn)
            left -= max(len(drawn), 1)
            found += self.new(drawn, origin, number - len(found))
        return found

    def new(self, drawn: np.ndarray, origin: str, number: int) -> list[tuple[Genes, str]]:
        """Returns the first `number` drawn candidates that are new and within the limits, with their origin."""
        found: list[tuple[Genes, str]] = []
        for genes in map(tuple, drawn[self._met(drawn)].tolist()):
            if len(found) < number and genes not in self.seen:
                self.seen.add(genes)
                found.append((genes, origin))
        return found

    def _met(self, drawn: np.ndarray) -> np.ndarray:
        met = np.ones(len(drawn), bool)
        for place, limit in enumerate(self.limits):
            measured = np.asarray(limit.measure(drawn), float)
            low, high = self.reached[place]
            self.reached[place] = min(low, measured.min(initial=np.inf)), max(high, measured.max(initial=-np.inf))
            met &= (measured >= limit.lowest) & (measured <= limit.highest)
        return met

    def _check(self, drawn: np.ndarray) -> None:
        """Checks the candidates that a user's function has drawn."""
        if drawn.ndim != 2 or drawn.shape[1] != self.sizes.size or drawn.dtype.kind not in "iu":
            raise PruneError(
                f"Expected draw to return integers of shape (number, {self.sizes.size}). "
                f"Received: {drawn.dtype} of shape {drawn.shape}."
            )
        if ((drawn < 0) | (drawn >= self.sizes)).any():
            raise PruneError("Expected draw to return genes ≥ 0 and below choices. Received: others among them.")


def _crossed(generator: np.random.Generator, parents: np.ndarray, number: int) -> np.ndarray:
    """Returns children of two different parents, each gene from one of them."""
    one = generator.integers(len(parents), size=number)
    other = (one + generator.integers(1, len(parents), size=number)) % len(parents)
    return np.where(generator.random((number, parents.shape[1])) < 0.5, parents[one], parents[other])


def _best(judged: list[Judged], number: int) -> list[Judged]:
    """Returns the candidates with the highest scores; of equal ones those judged first."""
    return sorted(judged, key=lambda each: -each.score)[:number]


def _judged(judge: Judge, new: list[tuple[Genes, str]], generation: int) -> list[Judged]:
    """Returns new candidates with their scores."""
    scores = list(judge([genes for genes, _ in new]))
    if len(scores) != len(new):
        raise PruneError(f"Expected a score for each of {len(new)} candidates. Received: {len(scores)} scores.")
    numbers = [-np.inf if score is None or np.isnan(score) else float(score) for score in scores]
    return [Judged(genes, score, generation, origin) for (genes, origin), score in zip(new, numbers, strict=True)]


def _checked(sizes: np.ndarray, given: Sequence, limits: Sequence[Limit], seed: int) -> np.ndarray:
    """Checks the arguments of `run`, and returns the given candidates as an array."""
    faults = seed_faults(seed=seed)
    if sizes.ndim != 1 or not sizes.size or sizes.dtype.kind not in "iu" or (sizes < 1).any():
        faults.append(f"Expected choices to be integers ≥ 1, one per gene. Received: choices={short(sizes)}.")
        raise_faults("Invalid arguments for Evolution.run:", faults)
    candidates = [np.asarray(each) for each in given]
    for each in candidates:
        if each.shape != sizes.shape or each.dtype.kind not in "iu" or ((each < 0) | (each >= sizes)).any():
            faults.append(f"Expected {sizes.size} genes ≥ 0 and below choices in given. Received: {each.tolist()}.")
            continue
        faults += [
            f"Expected given candidates within the limits. Received: {each.tolist()}, outside that of {limit.name}."
            for limit in limits
            if not limit.met(each[None]).all()
        ]
    raise_faults("Invalid arguments for Evolution.run:", faults)
    return np.array(candidates, int).reshape(-1, sizes.size)


def _check_first(new: list[tuple[Genes, str]], search: _Search, population: int) -> None:
    """Raises if the first generation is empty, and warns if it is not full, with the measures that were reached."""
    if len(new) >= population:
        return
    reach = "".join(
        f" Those tried have {limit.name} from {low:g} to {high:g}; requested: {limit.lowest:g} to {limit.highest:g}."
        for limit, (low, high) in zip(search.limits, search.reached, strict=True)
    )
    remedy = "Pass more choices, or an Evolution with a smaller population=."
    if search.limits:
        wider = ", ".join(dict.fromkeys(limit.widen for limit in search.limits))
        remedy = f"Widen the limits ({wider}), or pass an Evolution with more tries=, or draw= nearer to them."
    if not new:
        raise PruneError(
            f"Expected candidates within the limits. Received: none among all that were tried.{reach} {remedy}"
        )
    warn(
        f"{len(new)} candidates instead of {population} in the first generation: no others were found"
        f"{' within the limits' if search.limits else ''}.{reach} {remedy}"
    )
