"""The sections of a recipe's pruning stage: plans, searches, widths before training, and how they combine."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, Literal

from pydantic import model_validator

from kerasprune.defaults import AUTO, COUPLINGS, READY
from kerasprune.errors import Key, PruneError, given, joined
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
    Target,
)


class Traced(Node):
    """How the model is traced, see `kp.trace`.

    Args:
        coupling: Whether residual trunks shrink, too (tied), are kept whole (free), or may end wider than the branches
            that are added to them (padded). Defaults to `tied`.
        freeze: Name of a layer, or a wildcard, all of whose channels are kept. Defaults to none.
        unknown: Treatment of layers without a rule: raise, or freeze, which keeps the channels around them.
            Defaults to `raise`.
    """

    coupling: Literal[COUPLINGS] = "tied"  # type: ignore[valid-type]
    freeze: tuple[str, ...] = ()
    unknown: Literal["raise", "freeze"] = "raise"


class PlanStep(Traced):
    """Which channels are kept: the arguments of `kerasprune.plan`.

    Args:
        criterion: Which channels matter, by name ('kerasprune ls criteria'). Defaults to `l1`.
        budget: How much is kept where, by name ('kerasprune ls budgets'). Defaults to `uniform`.
        keep: Fraction of the channels that is kept. Defaults to `None`.
        macs: Fraction of the multiply–adds that is kept, 0.5 for half. Defaults to `None`.
        params: Fraction of the parameters that is kept. Defaults to `None`.
        target: Time on a device or size of the exported file, e.g. `{name: time, fraction: 0.5, table: phone.csv}`;
            without `table` this machine is measured. Defaults to `None`.
        min_keep: Channels of every group that are kept at least. Defaults to 1.
        round_to: Channels are kept in multiples of this number; or `table`, which widens every group as far as that
            costs no time by the table of the target; or `auto`: where multiply–adds, parameters or a size are asked,
            multiples that kernels like, of 4, 8 or 16 as the group is wide. Defaults to `auto`.
    """

    criterion: Criterion = Named(name="l1")
    budget: Budget = Named(name="uniform")
    target: Target | None = None
    keep: Fraction | None = None
    macs: Fraction | None = None
    params: Fraction | None = None
    min_keep: PositiveInt = 1
    round_to: PositiveInt | Literal["auto", "table"] = AUTO

    @property
    def asked(self) -> dict[str, Any]:
        """How much is kept: those of `keep`, `macs`, `params` and `target` that are given."""
        return given(keep=self.keep, macs=self.macs, params=self.params, target=self.target)

    @model_validator(mode="after")
    def _one_target(self) -> PlanStep:
        if len(self.asked) > 1:
            known = (Key("keep"), ", ", Key("macs"), ", ", Key("params"), " and ", Key("target"))
            values = {name: value.name if name == "target" else value for name, value in self.asked.items()}
            received = joined(" and ", (PruneError(Key(name), f"={value}") for name, value in values.items()))
            raise PruneError("Expected one of ", *known, ". Received: ", *received)
        if self.round_to == "table" and (self.target is None or self.target.name != "time"):
            rounding = (
                Key("target", "a target of time"),
                " with ",
                Key("round_to"),
                ": table, which rounds by the table of that target",
            )
            raise PruneError("Expected ", *rounding, ". Received: another target, or none.")
        return self


class ThreeDimensionsSection(Node):
    """Depth, width and resolution chosen by a fitted model of accuracy; the arguments of `kp.papers.three_dimensions`.

    Args:
        macs: Fraction of the multiply–adds that is kept.
        min_macs: Least fraction of the multiply–adds of the measured networks. Defaults to `macs`.
        constraint: `macs`, those of the networks that can be built, or `volume`, d·w²·r². Defaults to `macs`.
        rounds: Networks that are measured along each dimension. Defaults to 4.
        rank: R of the model of accuracy. Defaults to 1.
        degree: K. Defaults to 3.
        channels: Criterion of channels. Defaults to `bn_scale`.
        blocks: Criterion of blocks, e.g. `{name: discrimination, samples_per_class: 50}`. Defaults to `discrimination`.
        blocks_judged_on: Images on which the blocks' classifiers, fitted on training images, are evaluated:
            `validation`, or `train`, a held-out part of the training images. Defaults to
            `validation`.
        training: Training of every measured network.
    """

    macs: Fraction
    min_macs: Fraction | None = None
    constraint: Literal["macs", "volume"] = "macs"
    rounds: PositiveInt = 4
    rank: PositiveInt = 1
    degree: PositiveInt = 3
    channels: Criterion = Named(name="bn_scale")
    blocks: BlockCriterion = Named(name="discrimination")
    blocks_judged_on: Literal["train", "validation"] = "validation"
    training: Fit


class PreCrop(Traced):
    """Widths of an untrained network, see `kp.papers.precrop`: the slim model begins with new random weights.

    Args:
        params: Fraction of the parameters that is kept, met as nearly as whole channels allow. Defaults to `None`: no
            target.
        macs: Fraction of the multiply–adds that is kept, likewise. Defaults to `None`: no target.
        coupling: As for a plan. Defaults to `padded`.
    """

    params: Fraction | None = None
    macs: Fraction | None = None
    coupling: Literal[COUPLINGS] = "padded"  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _some_budget(self) -> PreCrop:
        if self.params is None and self.macs is None:
            raise PruneError("Expected ", Key("params"), ", ", Key("macs"), " or both")
        return self


class Round(Training):
    """A round of `space`: a short training of some candidates, each from the weights that it was first judged with.

    Args:
        best: The number of candidates, the best so far. Defaults to all of the round before.
    """

    best: PositiveInt | None = None


class SpaceSection(Traced):
    """Allocations of one cost from a pruning space, see `kp.papers.spaces.sample`.

    The best on validation data is the plan.
    All are judged right after removal, as in `kp.papers.spaces.rank`; each round then trains and judges some.

    Args:
        macs: Fraction of the multiply–adds that is kept, ± `delta`. Defaults to `None`: any.
        params: Fraction of the parameters that is kept, ± `delta`. Defaults to `None`: any.
        delta: Half the width of these windows. Defaults to 0.002.
        std: Largest standard deviation of an allocation over its groups. Defaults to `None`: any.
        mcb: The window of the mean computation budget, `[least, most]`. Defaults to `None`: any.
        n: Number of allocations sampled. Defaults to 100.
        criterion: Which channels are kept; one that needs no data. Defaults to `l2`.
        judge: How slim models are prepared to be judged and trained: `removed`, not at all; `recalibrated`, new
            statistics of BatchNorm; `reconstructed`, kernels by least squares. Defaults to `recalibrated`.
        samples: Training examples for this preparation. Defaults to 1000.
        rounds: Short trainings, of fewer and fewer candidates. Defaults to none.
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


class MetaPruning(Traced):
    """Widths found with a `kp.papers.pruning_nets.PruningNet`, see `kp.papers.meta_pruning`.

    The slim model begins with new random weights. Only the architecture of the model matters, not its weights.

    Args:
        macs: Fraction of the multiply–adds that is kept, `± delta`.
        delta: Half the width of this window. Defaults to 0.005.
        hidden: Hidden units of the networks that generate the kernels. Defaults to 64.
        samples: Training examples for the statistics of BatchNorm. Defaults to 1000.
        search: The search.
        training: Training of the PruningNet.
    """

    macs: Fraction
    delta: Fraction = 0.005
    hidden: PositiveInt = 64
    samples: PositiveInt = 1000
    search: Search = Search()
    training: Training
    coupling: Literal["tied", "free"] = "tied"


ALONE = ("three_dimensions", "precrop", "space", "meta_pruning")
"""Sections that decide by themselves which channels are kept."""
UNTRAINED = ("precrop", "meta_pruning")
"""Those whose slim model begins with new random weights."""
JUDGED = ("three_dimensions", "space", "meta_pruning")
"""Those that judge slim models on validation examples."""
OF_THE_FIT = ("epochs", "steps", "optimizer", "batch", "l2", "l2_on", "label_smoothing")
"""Keys of the fit with a callback."""


class Prune(Regularised):
    """The pruning stage: a plan, a callback that prepares the model during `fit`, or both; or a section of its own.

    These are `three_dimensions`; `space`, the best allocation of a pruning space; and `precrop` and `meta_pruning`,
    widths for a model that is then trained from scratch.

    Without `epochs` and `steps` the fit is as long as the callback's schedule. It begins with the weights of the dense
    model, or with `weights: fresh` with its initial ones.
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
        """The section that decides by itself which channels are kept, or `None`."""
        return self._first_of(ALONE)

    @property
    def untrained(self) -> str | None:
        """The section whose slim model begins with new random weights, or `None`."""
        return self._first_of(UNTRAINED)

    @property
    def judged(self) -> str | None:
        """The section that judges slim models on validation examples, or `None`."""
        return self._first_of(JUDGED)

    def _first_of(self, names: tuple[str, ...]) -> str | None:
        return next((name for name in names if getattr(self, name) is not None), None)

    @model_validator(mode="after")
    def _complete(self) -> Prune:
        sections = [name for name in ("plan", "callback", *ALONE) if getattr(self, name) is not None]
        alone = [name for name in sections if name in ALONE]
        if not sections:
            raise ValueError("Expected a plan, a callback, or both; or one of " + ", ".join(ALONE))
        if alone and len(sections) > 1:
            beside = ", ".join(name for name in sections if name != alone[0])
            raise ValueError(f"Expected no other key with {alone[0]}, which decides alone. Received: {beside}")
        if self.callback is not None and self.optimizer is None:
            raise ValueError("Expected an optimizer for the callback")
        idle = self.changed(OF_THE_FIT)
        if self.callback is None and idle:
            raise ValueError(
                "Expected a callback with keys of a fit, since without one this stage trains nothing (the slim model "
                f"is trained by finetune). Received: {', '.join(idle)}"
            )
        if self.epochs is not None and self.steps is not None:
            raise ValueError("Expected either epochs or steps")
        if self.weights == "fresh" and (self.callback is None or self.plan is not None):
            raise ValueError("Expected a callback and no plan with weights: fresh, since there is nothing to judge yet")
        return self
