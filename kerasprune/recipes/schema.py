"""The keys of a recipe, each with its type and its range.

A recipe is checked as a whole before anything runs: keys, ranges, names and their arguments.
Every fraction is a fraction kept.
"""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from kerasprune.data.lookup import own
from kerasprune.data.scaling import SCALES
from kerasprune.files import is_file
from kerasprune.graph.coupling import COUPLINGS
from kerasprune.recipes.formats import FORMATS
from kerasprune.recipes.learning import Decayed, Finetune, Fit, Optimizer, Training
from kerasprune.recipes.library import FOLDER
from kerasprune.recipes.node import (
    BlockCriterion,
    Budget,
    Callback,
    Criterion,
    Fraction,
    Named,
    Node,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Seed,
    Share,
    Truth,
    from_name,
    known,
)
from kerasprune.workflows.choices import CONSTRAINTS, READY


class Start(Node):
    """A checkpoint to start from: a path, or one below the package's recipes, e.g. `checkpoints/….keras`.

    `size` is the image side in pixels, needed where the model leaves it free and there is no data.
    """

    start: str
    size: PositiveInt | None = None

    @property
    def path(self) -> Path:
        """The checkpoint: relative paths are looked up here first, then beside the recipes of the package."""
        here = Path(self.start)
        return FOLDER / here if is_file(FOLDER / here) and not is_file(here) else here

    @field_validator("start")
    @classmethod
    def _exists(cls, start: str) -> str:
        if not (is_file(start) or is_file(FOLDER / start)):
            raise ValueError("Expected the path of a .keras file that exists")
        return start


Model = Annotated[
    Annotated[Named, BeforeValidator(from_name), known("model"), Tag("named")] | Annotated[Start, Tag("start")],
    Discriminator(lambda value: "start" if isinstance(value, Start) or "start" in _keys(value) else "named"),
]


def _keys(value: Any) -> Any:
    return value if isinstance(value, dict) else ()


class Paper(Node):
    """Where a published figure stands."""

    title: str
    arxiv: str | None = None
    row: str


class Expected(Node):
    """Figures that the recipe should reach: fractions, the speed-up as a factor of MACs."""

    dense_accuracy: Share | None = None
    accuracy: Share | None = None
    accuracy_change: Annotated[float, Field(ge=-1, le=1, strict=True)] | None = None
    macs: Fraction | None = None
    params: Fraction | None = None
    speedup: PositiveFloat | None = None
    sparsity: Share | None = None
    verified: str | None = None


class Data(Node):
    """A data set of images by name, see `kerasprune.data.load`, or a user's own examples.

    Args:
        name: Its name; or the path of a `.npz` file; or `module:function`, where that is trusted.
        size: Image side in pixels, where the model leaves it free. Defaults to 32.
        scale: What the pixels 0 … 255 become, see `kerasprune.data.scaling`. Defaults to `"standardise"` for data sets
            of images; arrays and functions are taken as they are.
        batch: Images per batch, where a stage does not say another number. Defaults to 128.
        augment: Augmentation of the training images. Defaults to none.
        evaluation_crop: Middle part of the other images that is seen, as for `kerasprune.data.load`. Defaults to 1.0.
        antialias: Whether images are shrunk with antialiasing. Defaults to `True`.
        validation: The split that is looked at while training. Defaults to `"validation"`; `null` where the set
            has none.
        test: The split that is looked at once, at the end. Defaults to `"test"`.
        data_dir: Where tensorflow-datasets keeps its files. Defaults to its own choice.
    """

    name: str
    size: PositiveInt = 32
    scale: Literal[SCALES] | None = None  # type: ignore[valid-type]
    batch: PositiveInt = 128
    augment: str | None = None
    evaluation_crop: Fraction = 1.0
    antialias: bool = True
    validation: str | None = "validation"
    test: str = "test"
    data_dir: str | None = None

    @field_validator("name")
    @classmethod
    def _trusted(cls, name: str, info: ValidationInfo) -> str:
        if own(name) == "function" and not (info.context or {}).get("trust"):
            raise ValueError("This would import your own code. Expected the name of a data set, or the option --trust")
        return name


class PlanStep(Node):
    """Who stays: the arguments of `kerasprune.plan`, and how the model is traced."""

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
            raise ValueError(f"Expected one of keep, macs and params. Received: {given}")
        return self


class ThreeDimensions(Node):
    """Depth, width and resolution chosen by a fitted model of accuracy; the arguments of `kp.three_dimensions`.

    Args:
        macs: Fraction of the multiply–adds that stays.
        down_to: Fraction that the measured networks go down to. Defaults to `macs`.
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
    down_to: Fraction | None = None
    constraint: Literal[CONSTRAINTS] = "macs"  # type: ignore[valid-type]
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
        params: Fraction of the parameters that stays, at most. Defaults to `None`: no bound.
        macs: Fraction of the multiply–adds that stays, at most. Defaults to `None`: no bound.
        coupling: Of residual branches. Defaults to `padded`: they may end narrower than their trunk.
        freeze: Names of layers, or wildcards, that stay whole. Defaults to none.
        unknown: What is done about layers without a rule. Defaults to `raise`.
    """

    params: Fraction | None = None
    macs: Fraction | None = None
    coupling: Literal[COUPLINGS] = "padded"  # type: ignore[valid-type]
    freeze: tuple[str, ...] = ()
    unknown: Literal["raise", "freeze"] = "raise"

    @model_validator(mode="after")
    def _some_budget(self) -> PreCrop:
        if self.params is None and self.macs is None:
            raise ValueError("Expected params, macs or both")
        return self


class Round(Training):
    """A round of `space`: some of its recipes are trained for a while, each from what it was first judged with.

    Args:
        best: How many, those that are best so far. Defaults to all of the round before.
    """

    best: PositiveInt | None = None


class Space(Node):
    """Recipes of one cost from a pruning space, see `kp.spaces.sample`; the best on validation examples is the plan.

    All are judged right after removal, as `kp.rank` does; where there are rounds, some are then trained and judged.

    Args:
        macs: Fraction of the multiply–adds that stays, `± delta`. Defaults to `None`: any.
        params: Fraction of the parameters that stays, `± delta`. Defaults to `None`: any.
        delta: Half the width of these windows. Defaults to 0.002.
        std: Largest standard deviation of a recipe over its groups. Defaults to `None`: any.
        mcb: The window of the mean computation budget, `[least, most]`. Defaults to `None`: any.
        n: Recipes that are drawn. Defaults to 100.
        criterion: Which channels stay; one that needs no data. Defaults to `l2`.
        judge: How slim models are made ready to be judged and trained: `removed`, not at all; `recalibrated`,
            statistics of BatchNorm anew; `reconstructed`, kernels by least squares. Defaults to `recalibrated`.
        samples: Training examples that they are made ready with. Defaults to 1000.
        rounds: Short trainings, of fewer and fewer recipes. Defaults to none.
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
        """How many recipes each round trains."""
        asked = (one.best for one in self.rounds)
        return list(accumulate(asked, lambda before, best: best or before, initial=self.n))[1:]

    @model_validator(mode="after")
    def _narrowing(self) -> Space:
        if self.macs is None and self.params is None:
            raise ValueError("Expected macs, params or both")
        if self.mcb is not None and (len(self.mcb) != 2 or self.mcb[0] >= self.mcb[1]):
            raise ValueError(f"Expected mcb: [least, most]. Received: {list(self.mcb)}")
        numbers = [self.n, *self.trained]
        if numbers != sorted(numbers, reverse=True):
            raise ValueError(f"Expected rounds of fewer and fewer recipes. Received: {numbers[1:]} of n={self.n}")
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


class Prune(Node):
    """The pruning stage: a plan, a callback that prepares the model during `fit`, or both; or all three dimensions.

    Or the best recipe of a pruning `space`; or widths for a model that is then trained from scratch: those of
    `precrop`, or of `meta_pruning`.

    Without `epochs` and `steps` the fit is as long as the callback's schedule. It begins with the weights of the dense
    model, or with `weights: fresh` with those that the dense model began with.
    """

    plan: PlanStep | None = None
    callback: Callback | None = None
    three_dimensions: ThreeDimensions | None = None
    precrop: PreCrop | None = None
    space: Space | None = None
    meta_pruning: MetaPruning | None = None
    weights: Literal["trained", "fresh"] = "trained"
    epochs: PositiveInt | None = None
    steps: PositiveInt | None = None
    optimizer: Optimizer | None = None
    l2: NonNegativeFloat = 0.0
    l2_on: Decayed = "kernels"
    batch: PositiveInt | None = None

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
        if self.epochs is not None and self.steps is not None:
            raise ValueError("Expected either epochs or steps")
        if self.weights == "fresh" and (self.callback is None or self.plan is not None):
            raise ValueError("Expected a callback and no plan beside weights: fresh, for there is nothing to judge yet")
        return self


class Reconstruct(Node):
    """Kernels of the slim model solved by least squares, see `kp.reconstruct`; no labels are looked at.

    Args:
        samples: Training examples that are looked at. Defaults to 1000.
        positions: Positions sampled for each layer. Defaults to 15000.
        ridge: Weight of the present kernels. Defaults to 1e-3.
    """

    samples: PositiveInt = 1000
    positions: PositiveInt = 15000
    ridge: NonNegativeFloat = 1e-3


class Reconfigure(Node):
    """Other widths of the model before it is trained, see `kp.reconfigure`.

    Args:
        params: Parameters as a fraction of the model's own, at most; `null` for no bound. Defaults to 1.0.
        macs: Multiply–adds, likewise. Defaults to 1.0.
    """

    params: PositiveFloat | None = 1.0
    macs: PositiveFloat | None = 1.0


class Recipe(Node):
    """A whole experiment.

    Args:
        name: The recipe's name; the run folder is named after it.
        why: The question that the experiment answers, in one sentence.
        status: `"run"`: it was run as it stands. `"not run in full"`: a published schedule, only tried.
        paper: Where the figures come from. Defaults to `None`.
        expected: Figures to reach. Defaults to none.
        seed: Seed of weights, order and augmentation. Defaults to 0.
        model: A registered model with its arguments, or `{start: checkpoint}`.
        reconfigure: Other widths for a model by name, before it is trained. Defaults to `None`: its own.
        data: The data set. Defaults to `None`: no training and no accuracy.
        loss: Name of a Keras loss. Defaults to `None`: cross-entropy of classes, or for a user's own data what the
            checkpoint was compiled with.
        train: Training of the dense model. Defaults to `None`: start from the checkpoint as it is.
        prune: The pruning stage. Defaults to `None`: only train.
        reconstruct: Least squares in place of, or before, training the slim model; `{}` for its defaults. Defaults to
            `None`.
        finetune: Training of the slim model. Defaults to `None`.
        export: What to write besides `slim.keras`. Defaults to nothing.
        calibrate: A `.npy` or `.npz` file, or a folder of images, that exports are calibrated and checked with.
            Defaults to the validation data.
        smoke: Whether this is the shortened form that only tries the stages. Defaults to `False`.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    why: str
    status: Literal["run", "not run in full"] = "run"
    paper: Paper | None = None
    expected: Expected = Expected()
    seed: Seed = 0
    model: Model
    reconfigure: Reconfigure | None = None
    data: Data | None = None
    loss: str | None = None
    train: Fit | None = None
    prune: Prune | None = None
    reconstruct: Reconstruct | None = None
    finetune: Finetune | None = None
    export: tuple[Literal[tuple(FORMATS)], ...] = ()  # type: ignore[valid-type]
    calibrate: str | None = None
    smoke: Truth = False

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        faults = []
        needs_data = self.train or self.finetune or (self.prune and self.prune.callback) or self.reconstruct
        if needs_data and self.data is None:
            faults.append("Expected data for the training stages, and to reconstruct from")
        by_teacher = self.reconstruct or self.finetune and self.finetune.distil
        if by_teacher and self.prune and self.prune.three_dimensions:
            faults.append(
                "Expected neither reconstruct nor distil beside three_dimensions, whose slim model takes other inputs "
                "than the dense one"
            )
        if self.prune and self.prune.judged and (self.data is None or self.data.validation is None):
            faults.append(f"Expected data.validation, on which {self.prune.judged} measures accuracy")
        space = self.prune and self.prune.space
        if space and space.rounds and (space.judge == "reconstructed") != (self.reconstruct is not None):
            faults.append(
                "Expected reconstruct beside prune.space.judge: reconstructed, and beside no other, so that the best "
                f"recipe is trained from what it was tried with. Received: judge: {space.judge}"
            )
        if (self.finetune or self.reconstruct) and not self.prune:
            faults.append("Expected a prune stage before finetune or reconstruct")
        untrained = self.prune and self.prune.untrained
        if untrained and (self.reconstruct or self.finetune and self.finetune.distil):
            faults.append(f"Expected neither reconstruct nor distil beside {untrained}, whose slim model is untrained")
        if isinstance(self.model, Named) and not self.train and not untrained:
            faults.append("Expected a train stage, since the model has no trained weights (or model: {start: …})")
        if isinstance(self.model, Start) and self.reconfigure is not None:
            faults.append(
                "Expected a model by name beside reconfigure, which draws weights anew. Received: a checkpoint"
            )
        if isinstance(self.model, Start) and self.prune and self.prune.weights == "fresh":
            faults.append("Expected a model by name beside weights: fresh. Received: a checkpoint")
        for name in self.export:
            if FORMATS[name].calibrates and self.data is None and self.calibrate is None:
                faults.append(f"Expected data, or calibrate, to calibrate {name} with")
        if self.calibrate is not None and not Path(self.calibrate).exists():
            faults.append(f"Expected calibrate to be a file or a folder. Received: {self.calibrate!r}, which is none")
        if faults:
            raise ValueError("; ".join(faults))
        return self
