"""The keys of a recipe, each with its type and its range.

A recipe is checked as a whole before anything runs: keys, ranges, names and their arguments.
Every fraction is a fraction kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from kerasprune.data.scaling import SCALES
from kerasprune.errors import Key, PruneError, join_messages
from kerasprune.export.registry import formats
from kerasprune.files import is_file, is_folder
from kerasprune.files.shipped import here_or_shipped
from kerasprune.models.sets.lookup import check_kind, needs_trust, own
from kerasprune.recipes.learning import Finetune, Fit, Regularised
from kerasprune.recipes.node import (
    Fraction,
    InputSize,
    Named,
    Node,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Seed,
    Share,
    Truth,
    member_of,
)
from kerasprune.recipes.prune_section import Prune
from kerasprune.recipes.registry import beginnings


class Start(Node):
    """A checkpoint to start from.

    Args:
        start: Path of a `.keras` or a whole `.h5` file, here or below the package's recipes, as `checkpoints/….keras`.
        size: Size of the inputs, if it is free: a number, one for each axis, or by input. Defaults to `None`.
    """

    start: str
    size: InputSize | None = None

    @property
    def path(self) -> Path:
        """The file: relative paths are looked up in the current folder first, then next to the package's recipes."""
        return here_or_shipped(self.start)

    @field_validator("start")
    @classmethod
    def _exists(cls, start: str) -> str:
        if not is_file(here_or_shipped(start)):
            raise ValueError("Expected the path of a .keras file that exists")
        return start


Model = Annotated[
    Annotated[member_of("model"), Tag("by name")] | Annotated[Start, Tag("from a file")],
    Discriminator(
        lambda value: (
            "from a file" if isinstance(value, Start) or isinstance(value, dict) and "start" in value else "by name"
        )
    ),
]


CALIBRATE = Key("calibrate")
OF_CLASSES = (None, "sparse_categorical_crossentropy", "categorical_crossentropy")
"""Losses by name whose labels can be smoothed."""


def _smoothed(node: Node) -> Iterator[bool]:
    """Yields for every training section below a node whether it smooths labels."""
    if isinstance(node, Regularised):
        yield node.label_smoothing > 0
    for value in dict(node).values():
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, Node):
                yield from _smoothed(each)


class Paper(Node):
    """The source of published figures."""

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


SIDE = 32  # pixels, if neither the model nor the recipe says how many

OF_IMAGES = ("augment", "evaluation_crop", "antialias")
"""Keys of data sets of images by name."""


class Data(Node):
    """A data set of images by name, see `kerasprune.data.load`, or a user's own examples.

    Args:
        name: A data set ('kerasprune ls data'), images in a folder per class, arrays x and y in a `.npz` file, inputs
            without labels in a `.npy` file, or `module:function`, if it is trusted, which returns a tf.data.Dataset;
            or `synthetic`, inputs drawn from the trained model, see `kerasprune.synthesise`.
        size: Image side in pixels, if the model leaves it free; of other examples their size, as in `model.size`.
            Defaults to that of the model or of the examples, or else 32.
        scale: Scaling of the pixels 0 … 255, as the model was trained. Defaults to `standardise` for data sets of
            images; arrays and functions are not scaled.
        batch: Examples per batch, if a stage gives no other number. Defaults to 128, at most all of them.
        augment: Augmentation of the training images. Defaults to none.
        evaluation_crop: Central fraction used of the other images, as for `kerasprune.data.load`. Defaults to 1.0.
        antialias: Whether images are shrunk with antialiasing. Defaults to `True`.
        validation: The split for validation during training. Defaults to `validation`; `null` if the set has none.
        test: The split for the evaluation at the end. Defaults to `"test"`.
        data_dir: Folder of tensorflow-datasets. Defaults to its own choice.
        samples: Inputs that `synthetic` draws, 6 or more. Defaults to 600.
    """

    name: str
    size: InputSize | None = None
    scale: Literal[SCALES] | None = None  # type: ignore[valid-type]
    batch: PositiveInt = 128
    augment: str | None = None
    evaluation_crop: Fraction = 1.0
    antialias: bool = True
    validation: str | None = "validation"
    test: str = "test"
    data_dir: str | None = None
    samples: Annotated[PositiveInt, Field(gt=5)] = 600

    @property
    def side(self) -> int:
        """The image side for a model that leaves it free."""
        return self.size if isinstance(self.size, int) else SIDE

    @field_validator("size")
    @classmethod
    def _of_square_images(cls, size: Any, info: ValidationInfo) -> Any:
        name = info.data.get("name")
        if name is not None and own(name) is None and not isinstance(size, int | None):
            raise ValueError(f"Expected a number > 0: images of {name!r} are square")
        return size

    @field_validator("name")
    @classmethod
    def _of_a_known_kind(cls, name: str, info: ValidationInfo) -> str:
        check_kind(name)
        if needs_trust(name) and not (info.context or {}).get("trust"):
            raise ValueError("This would import your own code. Expected the name of a data set, or the option --trust")
        return name

    @model_validator(mode="after")
    def _as_they_are(self) -> Data:
        idle = self.changed(OF_IMAGES)
        if own(self.name) is not None and idle:
            raise ValueError(
                f"Expected none of {', '.join(OF_IMAGES)} with examples of your own, which are not changed: "
                f"prepare them, or write a function that does. Received: {', '.join(idle)}"
            )
        return self


class Reconstruct(Node):
    """Kernels of the slim model solved by least squares, see `kp.reconstruct`; it needs no labels.

    Args:
        samples: Examples to solve on. Defaults to 1000.
        positions: Positions sampled for each layer. Defaults to 15000.
        ridge: Weight of the present kernels. Defaults to 1e-3.
        slack: Error that may be accepted for smaller weights. Defaults to `None`: 0.1 before a `finetune` stage, else
            0.
    """

    samples: PositiveInt = 1000
    positions: PositiveInt = 15000
    ridge: NonNegativeFloat = 1e-3
    slack: NonNegativeFloat | None = None


class Reconfigure(Node):
    """Other widths of the model before it is trained, see `kp.papers.reconfigure`.

    Args:
        params: Parameters as a fraction of the model's own, met as nearly as whole channels allow; `null` for
            no target. Defaults to 1.0.
        macs: Multiply–adds, likewise. Defaults to 1.0.
    """

    params: PositiveFloat | None = 1.0
    macs: PositiveFloat | None = 1.0


class Recipe(Node):
    """A complete experiment, as data.

    Args:
        name: The recipe's name; the run folder is named after it.
        why: The question that the experiment answers, in one sentence.
        status: `"run"`: it was run unchanged. `"not run in full"`: a schedule that was tried briefly, or not at all.
        paper: The source of the expected figures. Defaults to `None`.
        expected: Figures to reach. Defaults to none.
        seed: Seed of weights, order, augmentation and all other random choices. Defaults to 0.
        model: A registered model with its arguments, or `{start: checkpoint}`.
        reconfigure: New widths for a registered model, before it is trained. Defaults to `None`: its own widths.
        data: The data set. Defaults to `None`: no training and no accuracy.
        loss: Name of a Keras loss. Defaults to `None`: cross-entropy for classes, or for the user's own data the loss
            that the checkpoint was compiled with.
        train: Training of the dense model. Defaults to `None`: the checkpoint is used as it is.
        prune: The pruning stage. Defaults to `None`: only train.
        reconstruct: Least squares in place of, or before, training the slim model; `{}` for its defaults. Defaults to
            `None`.
        finetune: Training of the slim model. Defaults to `None`.
        export: Formats to write besides `slim.keras`. Defaults to none.
        calibrate: A `.npy` or `.npz` file, or a folder of images, to calibrate exports. Defaults to validation data.
        smoke: Whether this is a smoke test, which runs all stages briefly. Defaults to `False`.
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
    export: tuple[Literal[tuple(formats.names())], ...] = ()  # type: ignore[valid-type]
    calibrate: str | None = None
    smoke: Truth = False

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        faults = []
        needs_data = self.train or self.finetune or (self.prune and self.prune.callback) or self.reconstruct
        if needs_data and self.data is None:
            faults.append(PruneError("Expected ", Key("data"), " for the training stages, and to reconstruct from"))
        by_teacher = self.reconstruct or self.finetune and self.finetune.distil
        if section := self.prune and self.prune.alone:
            name = self.prune.section
            if section.untaught and by_teacher:
                faults.append(f"Expected neither reconstruct nor distil with {name}, {section.untaught}")
            if section.judged and (self.data is None or self.data.validation is None):
                faults.append(f"Expected data.validation, on which {name} measures accuracy")
            faults += section.faults(f"prune.{name}", reconstructs=self.reconstruct is not None)
        if (self.finetune or self.reconstruct) and not self.prune:
            faults.append("Expected a prune stage before finetune or reconstruct")
        if isinstance(self.model, Named) and not self.train and not (self.prune and self.prune.untrained):
            faults.append("Expected a train stage, since the model has no trained weights (or model: {start: …})")
        if self.loss not in OF_CLASSES and any(_smoothed(self)):
            faults.append(
                f"Expected one of {', '.join(OF_CLASSES[1:])} with label_smoothing. Received: loss: {self.loss}"
            )
        if self.reconfigure is not None and keys_of_absent_papers({RECONFIGURE: self.reconfigure}):
            faults.append(f"Expected the paper that brings {RECONFIGURE} to be installed. {INSTALL}")
        if isinstance(self.model, Start) and self.reconfigure is not None:
            faults.append("Expected a model by name with reconfigure, which makes new weights. Received: a checkpoint")
        if isinstance(self.model, Start) and self.prune and self.prune.weights == "fresh":
            faults.append("Expected a model by name with weights: fresh. Received: a checkpoint")
        for name in self.export:
            if formats.member(name).calibrates and self.data is None and self.calibrate is None:
                faults.append(PruneError("Expected ", Key("data"), ", or ", CALIBRATE, f", to calibrate {name} with"))
        if self.calibrate is not None and not self.export:
            faults.append(PruneError("Expected an ", Key("export"), " with ", CALIBRATE, ", which nothing else uses"))
        if self.calibrate is not None and not (is_file(self.calibrate) or is_folder(self.calibrate)):
            received = f" to be a file or a folder. Received: {self.calibrate!r}, which is neither"
            faults.append(PruneError("Expected ", CALIBRATE, received))
        if faults:
            raise PruneError(*join_messages("; ", faults))
        return self


RECONFIGURE = "reconfigure"
"""The key of what a paper does to a model before it is trained."""
INSTALL = "Install kerasprune with all of its papers: pip install --force-reinstall --no-deps kerasprune."


def keys_of_absent_papers(recipe: Mapping[str, Any]) -> list[str]:
    """Returns the keys of a recipe of the package that belong to papers which are not installed.

    Args:
        recipe: The recipe as plain data.

    Example:
        >>> keys_of_absent_papers({"prune": {"plan": {"keep": 0.5}, "section_of_a_paper": {}}})
        ['prune.section_of_a_paper']
    """
    sections = [f"prune.{name}" for name in recipe.get("prune") or () if name not in Prune.model_fields]
    return sections + [name for name in (RECONFIGURE,) if name in recipe and name not in beginnings.names()]


def stage_names(recipe: Recipe) -> list[str]:
    """Returns the stages of a recipe, in order.

    Example:
        >>> import kerasprune as kp
        >>> stage_names(kp.recipes.load("glyphs-base"))
        ['train', 'evaluate', 'report']
    """
    solved = ["reconstruct"] if recipe.reconstruct else []
    middle = ["prune", "rebuild", *solved, "finetune"] if recipe.prune else []
    return ["train", *middle, "evaluate", *(["export"] if recipe.export else []), "report"]


def only_hands_on(recipe: Recipe, name: str) -> bool:
    """Returns whether a stage that trains in other recipes only passes its model on in this one."""
    return name in ("train", "finetune") and getattr(recipe, name) is None
