"""The section `meta_pruning` of a recipe's pruning stage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from kerasprune.recipes.alone_section import AloneSection
from kerasprune.recipes.learning import Training
from kerasprune.recipes.node import Fraction, Node, PositiveInt
from kerasprune.recipes.plan_section import Traced


class Search(Node):
    """The search of `meta_pruning`, see `kp.recipes.search.Evolution`; the defaults are the paper's.

    Args:
        population: Candidates of a generation. Defaults to 50.
        parents: The best candidates, which are mutated and crossed. Defaults to 10.
        mutations: Children by mutation in a generation. Defaults to 25.
        crossovers: Children by crossover. Defaults to 25.
        generations: Number of generations. Defaults to 20.
        mutation: Probability that the width of a group changes. Defaults to 0.1.
    """

    population: PositiveInt = 50
    parents: PositiveInt = 10
    mutations: PositiveInt = 25
    crossovers: PositiveInt = 25
    generations: PositiveInt = 20
    mutation: Fraction = 0.1


class MetaPruning(AloneSection, Traced):
    """Widths found with a `PruningNet`, see `kp.papers.meta_pruning`: the slim model begins with new random weights.

    Only the architecture of the model matters, not its weights.

    Args:
        macs: Fraction of the multiply–adds that is kept, `± delta`.
        delta: Half the width of this window. Defaults to 0.005.
        hidden: Hidden units of the networks that generate the kernels. Defaults to 64.
        samples: Training examples for the statistics of BatchNorm. Defaults to 1000.
        search: The search.
        training: Training of the PruningNet.
    """

    judged: ClassVar[bool] = True
    untrained: ClassVar[bool] = True

    macs: Fraction
    delta: Fraction = 0.005
    hidden: PositiveInt = 64
    samples: PositiveInt = 1000
    search: Search = Search()
    training: Training
    coupling: Literal["tied", "free"] = "tied"

    @classmethod
    def trainings(cls, section: Mapping[str, Any]) -> list[str]:
        return [f"{section['training']['epochs']} of a PruningNet"]

    def least(self) -> Self:
        search = Search(population=2, parents=2, mutations=1, crossovers=1, generations=2)
        return self.model_copy(update={"hidden": 1, "search": search, "training": self.training.one_epoch()})
