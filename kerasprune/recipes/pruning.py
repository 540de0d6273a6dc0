"""The sections of a recipe's pruning stage: plans, searches, widths before training, and what goes with what."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import ClassVar, Literal

from pydantic import model_validator

from kerasprune.defaults import COUPLINGS, READY
from kerasprune.errors import Key, PruneError, joined
from kerasprune.recipes.learning import Fit, Optimizer, Regularised, Training
from kerasprune.recipes.node import (
    BlockCriterion,
    Budget,
    Callback,
    Criterion,
    Fraction,
    Named,
    Node,
    PositiveFloat,
    PositiveInt,
)


class PlanStep(Node):
    """Which channels are kept: the arguments of `kerasprune.plan`, and how the model is traced.

    Args:
        criterion: Which channels matter, by name ('kerasprune ls criteria'). Defaults to `l1`.
        budget: How much is kept where, by name ('kerasprune ls budgets'). Defaults to `uniform`.
        keep: Fraction of the channels that is kept. Defaults to `None`.
        macs: Fraction of the multiply–adds that is kept, 0.5 for half. Defaults to `None`.
        params: Fraction of the parameters that is kept. Defaults to `None`.
        coupling: Whether residual trunks shrink, too (tied), are kept whole (free), or may end wider than the branches
            that are added to them (padded). Defaults to `tied`.
        freeze: Name of a layer, or a wildcard, all of whose channels are kept. Defaults to none.
        unknown: What is done at a layer that cannot be followed: raise, or freeze, which keeps the channels around it.
            Defaults to `raise`.
        min_keep: Channels of every group that are kept at least. Defaults to 1.
        round_to: Channels are kept in multiples of this number, for what the phone likes. Defaults to 1.
    """

    criterion: Criterion = Named(name="l1")
    budget: Budget = Named(name="uniform")
    keep: Fraction | None = None
    macs: Fraction | None = None
    params: Fraction | None = None
    coupling: Literal[COUPLINGS] = "tied"  # type: ignore[valid-type]
    freeze: tuple[str, ...] = ()
    unknown: Literal["raise", "freeze"] = "raise"
    min_keep: PositiveInt = 1
    round_to: PositiveInt = 1

    @model_validator(mode="after")
    def _one_target(self) -> PlanStep:
        given = {name: getattr(self, name) for name in ("keep", "macs", "params") if getattr(self, name) is not None}
        if len(given) > 1:
            known = (Key("keep"), ", ", Key("macs"), " and ", Key("params"))
            received = joined(" and ", (PruneError(Key(name), f"={value}") for name, value in given.items()))
            raise PruneError("Expected one of ", *known, ". Received: ", *received)
        return self


class ThreeDimensionsSection(Node):
    """Depth, width and resolution chosen by a fitted model of accuracy; the arguments of `kp.three_dimensions`.

    Args:
        macs: Fraction of the multiply–adds that stays.
        min_macs: Fraction of the multiply–adds that the measured networks go down to. Defaults to `macs`.
        constraint: `macs`, those of the networks that can be built, or `volume`, d·w²·r². Defaults to `macs`.
        rounds: Networks that are measured along each dimension. Defaults to 4.
        rank: R of the model of accuracy. Defaults to 1.
        degree: K. Defaults to 3.
        channels: Criterion of channels. Defaults to `bn_scale`.
        blocks: Criterion of blocks, e.g. `{name: discrimination, samples_per_class: 50}`. Defaults to `discrimination`.
        blocks_judged_on: Where the accuracy of the blocks' classifiers, which are fitted on training images, is taken:
            on `validation` images, or on `train`, a part of the training images that is held out. Defaults to
            `validation`.
        training: Training of every measured network.
    """

    macs: Fraction
    min_macs: Fraction | None = None
    formerly: ClassVar[Mapping[str, str]] = {"down_to": "min_macs"}

    constraint: Literal["macs", "volume"] = "macs"
    rounds: PositiveInt = 4
    rank: PositiveInt = 1
    degree: PositiveInt = 3
    channels: Criterion = Named(name="bn_scale")
    blocks: BlockCriterion = Named(name="discrimination")
    blocks_judged_on: Literal["train", "validation"] = "validation"
    training: Fit


class PreCrop(Node):
    """Widths of an untrained network, see `kp.precrop`: the slim model begins with weights drawn anew.

    Args:
        params: Fraction of the parameters that is kept, met as nearly as whole channels allow. Defaults to `None`: no
            target.
        macs: Fraction of the multiply–adds that is kept, likewise. Defaults to `None`: no target.
        coupling: Of residual branches. Defaults to `padded`: they may end narrower than their trunk.
        freeze: Name of a layer, or a wildcard, all of whose channels are kept. Defaults to none.
        unknown: What is done at a layer that cannot be followed: raise, or freeze, which keeps the channels around it.
            Defaults to `raise`.
    """

    params: Fraction | None = None
    macs: Fraction | None = None
    coupling: Literal[COUPLINGS] = "padded"  # type: ignore[valid-type]
    freeze: tuple[str, ...] = ()
    unknown: Literal["raise", "freeze"] = "raise"

    @model_validator(mode="after")
    def _some_budget(self) -> PreCrop:
        if self.params is None and self.macs is None:
            raise PruneError("Expected ", Key("params"), ", ", Key("macs"), " or both")
        return self


class Round(Training):
    """A round of `space`: some of its candidates are trained for a while, each from what it was first judged with.

    Args:
        best: How many, those that are best so far. Defaults to all of the round before.
    """

    best: PositiveInt | None = None


class SpaceSection(Node):
    """Allocations of one cost from a pruning space, see `kp.spaces.sample`; the best on validation data is the plan.

    All are judged right after removal, as `kp.rank` does; where there are rounds, some are then trained and judged.

    Args:
        macs: Fraction of the multiply–adds that is kept, ± `delta`. Defaults to `None`: any.
        params: Fraction of the parameters that is kept, ± `delta`. Defaults to `None`: any.
        delta: Half the width of these windows. Defaults to 0.002.
        std: Largest standard deviation of an allocation over its groups. Defaults to `None`: any.
        mcb: The window of the mean computation budget, `[least, most]`. Defaults to `None`: any.
        n: Allocations that are drawn. Defaults to 100.
        criterion: Which channels are kept; one that needs no data. Defaults to `l2`.
        judge: How slim models are made ready to be judged and trained: `removed`, not at all; `recalibrated`,
            statistics of BatchNorm anew; `reconstructed`, kernels by least squares. Defaults to `recalibrated`.
        samples: Training examples that they are made ready with. Defaults to 1000.
        rounds: Short trainings, of fewer and fewer candidates. Defaults to none.
        coupling: Of residual branches. Defaults to `tied`.
        freeze: Names of layers, or wildcards, that stay whole. Defaults to none.
        unknown: What is done about layers without a rule. Defaults to `raise`.
    """

    macs: Fraction | None = None
    params: Fraction | None = None
    delta: Fraction = 0.002
    std: PositiveFloat | None = None
    mcb: tuple[PositiveFloat, ...] | None = None
    n: PositiveInt = 100
    criterion: Criterion = Named(name="l2")
    judge: Literal[READY] = "recalibrated"  # type: ignore[valid-type]
    samples: PositiveInt = 1000
    rounds: tuple[Round, ...] = ()
    coupling: Literal[COUPLINGS] = "tied"  # type: ignore[valid-type]
    freeze: tuple[str, ...] = ()
    unknown: Literal["raise", "freeze"] = "raise"

    @property
    def trained(self) -> list[int]:
        """How many candidates each round trains."""
        asked = (one.best for one in self.rounds)
        return list(accumulate(asked, lambda before, best: best or before, initial=self.n))[1:]

    @model_validator(mode="after")
    def _narrowing(self) -> SpaceSection:
        if self.macs is None and self.params is None:
            raise ValueError("Expected macs, params or both")
        if self.mcb is not None and (len(self.mcb) != 2 or self.mcb[0] >= self.mcb[1]):
            raise ValueError(f"Expected mcb: [least, most]. Received: {list(self.mcb)}")
        numbers = [self.n, *self.trained]
        if numbers != sorted(numbers, reverse=True):
            raise ValueError(f"Expected rounds of fewer and fewer candidates. Received: {numbers[1:]} of n={self.n}")
        return self


class Search(Node):
    """How long `meta_pruning` searches, see `kp.search.Evolution`; the defaults are the paper's.

    Args:
        population: Candidates of a generation. Defaults to 50.
        parents: How many of the best are mutated and crossed. Defaults to 10.
        mutations: Children by mutation in a generation. Defaults to 25.
        crossovers: Children by crossover. Defaults to 25.
        generations: How many are judged. Defaults to 20.
        mutation: Probability that the width of a group changes. Defaults to 0.1.
    """

    population: PositiveInt = 50
    parents: PositiveInt = 10
    mutations: PositiveInt = 25
    crossovers: PositiveInt = 25
    generations: PositiveInt = 20
    mutation: Fraction = 0.1


class MetaPruning(Node):
    """Widths found with a `kp.PruningNet`, see `kp.meta_pruning`: the slim model begins with weights drawn anew.

    Only the architecture of the model matters, not its weights.

    Args:
        macs: Fraction of the multiply–adds that stays, `± delta`.
        delta: Half the width of this window. Defaults to 0.005.
        hidden: Units of the nets that make the kernels. Defaults to 64.
        samples: Training examples that the statistics of BatchNorm are taken from. Defaults to 1000.
        search: How long is searched.
        training: Training of the PruningNet.
        coupling: Of residual branches. Defaults to `tied`.
        freeze: Names of layers, or wildcards, that stay whole. Defaults to none.
        unknown: What is done about layers without a rule. Defaults to `raise`.
    """

    macs: Fraction
    delta: Fraction = 0.005
    hidden: PositiveInt = 64
    samples: PositiveInt = 1000
    search: Search = Search()
    training: Training
    coupling: Literal["tied", "free"] = "tied"
    freeze: tuple[str, ...] = ()
    unknown: Literal["raise", "freeze"] = "raise"


ALONE = ("three_dimensions", "precrop", "space", "meta_pruning")
"""Sections of the pruning stage that decide by themselves what stays."""
UNTRAINED = ("precrop", "meta_pruning")
"""Those whose slim model begins with weights drawn anew."""
JUDGED = ("three_dimensions", "space", "meta_pruning")
"""Those that judge slim models on validation examples."""
OF_THE_FIT = ("epochs", "steps", "optimizer", "batch", "l2", "l2_on", "label_smoothing")
"""Keys of the fit that a callback acts in."""


class Prune(Regularised):
    """The pruning stage: a plan, a callback that prepares the model during `fit`, or both; or all three dimensions.

    Or the best allocation of a pruning `space`; or widths for a model that is then trained from scratch: those of
    `precrop`, or of `meta_pruning`.

    Without `epochs` and `steps` the fit is as long as the callback's schedule. It begins with the weights of the dense
    model, or with `weights: fresh` with those that the dense model began with.
    """

    plan: PlanStep | None = None
    callback: Callback | None = None
    three_dimensions: ThreeDimensionsSection | None = None
    precrop: PreCrop | None = None
    space: SpaceSection | None = None
    meta_pruning: MetaPruning | None = None
    weights: Literal["trained", "fresh"] = "trained"
    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    optimizer: Optimizer | None = None
    batch: PositiveInt | None = None

    @property
    def section(self) -> str | None:
        """The section that decides by itself what stays, or `None`."""
        return self._first_of(ALONE)

    @property
    def untrained(self) -> str | None:
        """The section after which the slim model begins with weights drawn anew, or `None`."""
        return self._first_of(UNTRAINED)

    @property
    def judged(self) -> str | None:
        """The section that judges slim models on validation examples, or `None`."""
        return self._first_of(JUDGED)

    def _first_of(self, names: tuple[str, ...]) -> str | None:
        return next((name for name in names if getattr(self, name) is not None), None)

    @model_validator(mode="after")
    def _complete(self) -> Prune:
        given = [name for name in ("plan", "callback", *ALONE) if getattr(self, name) is not None]
        alone = [name for name in given if name in ALONE]
        if not given:
            raise ValueError("Expected a plan, a callback, or both; or one of " + ", ".join(ALONE))
        if alone and len(given) > 1:
            beside = ", ".join(name for name in given if name != alone[0])
            raise ValueError(f"Expected nothing beside {alone[0]}, which decides by itself. Received: {beside}")
        if self.callback is not None and self.optimizer is None:
            raise ValueError("Expected an optimizer beside the callback")
        idle = self.changed(OF_THE_FIT)
        if self.callback is None and idle:
            raise ValueError(
                "Expected a callback beside keys of a fit, for without one this stage trains nothing (the slim model "
                f"is trained by finetune). Received: {', '.join(idle)}"
            )
        if self.epochs is not None and self.steps is not None:
            raise ValueError("Expected either epochs or steps")
        if self.weights == "fresh" and (self.callback is None or self.plan is not None):
            raise ValueError("Expected a callback and no plan beside weights: fresh, for there is nothing to judge yet")
        return self
