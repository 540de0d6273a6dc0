"""The tables of all families, criteria, budgets, callbacks, models, …, from names to addresses "module:Name".

One new method is one new file and one line here. Its module is imported at the first look-up, so that names are listed,
and help is printed, without Keras. Each folder of `kerasprune/papers` lists its additions in `BRINGS`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from kerasprune.errors import PruneError, extras, nearest, short

Member = TypeVar("Member", bound=Callable[..., Any])


class Registry:
    """The members of one family, in alphabetical order of their names.

    Args:
        kind: Noun for a member in error messages, e.g. `"criterion"`.
        built_in: `{name: "module:Name"}`, or classes, of the members in the package. Defaults to none.
        base: `"module:Name"` of the class that every member is or makes. Defaults to none: anything is a member.
        table: Name of this family in `BRINGS` of papers. Defaults to none: they add no member.

    Example:
        >>> criteria = Registry("criterion")
        >>> @criteria.add("ones")
        ... class Ones: ...
        >>> criteria.names()
        ['ones']
        >>> type(criteria.get("ones")).__name__
        'Ones'
    """

    def __init__(
        self,
        kind: str,
        built_in: Mapping[str, str | Callable[..., Any]] | None = None,
        base: str | None = None,
        table: str | None = None,
    ) -> None:
        self.kind = kind
        self.base = base
        self.table = table
        self._of_the_core = dict(built_in or {})
        self._added: dict[str, Callable[..., Any]] = {}

    @cached_property
    def built_in(self) -> dict[str, Any]:
        """The members in the package and its papers."""
        return self._of_the_core | of_papers(self.table)

    def add(self, name: str) -> Callable[[Member], Member]:
        """Returns a decorator that makes a class or function known by `name`."""

        def decorate(member: Member) -> Member:
            if name in self.names():
                raise PruneError(f"The {self.kind} name is taken. Received: name={name!r}. Choose another name.")
            self._added[name] = member
            return member

        return decorate

    def names(self) -> list[str]:
        """Returns the known names, sorted."""
        return sorted({*self.built_in, *self._added})

    def member(self, name: str) -> Callable[..., Any]:
        """Returns the class or function called `name`."""
        if name in self._added:
            return self._added[name]
        if name not in self.built_in:
            raise PruneError(
                f"Expected a known {self.kind}: {', '.join(self.names())}. "
                f"Received: {short(name)}.{nearest(str(name), self.names())}"
            )
        found = self.built_in[name]
        return imported(found) if isinstance(found, str) else found

    def get(self, identifier: Any) -> Any:
        """Returns an instance for a name, a `{"name": …, **arguments}` dict, a class or an instance.

        Args:
            identifier: Any of the four spellings. An instance is returned as it is.

        Returns:
            The instance.

        Raises:
            PruneError: The name is unknown, the arguments do not fit the member, or it is not a member of the family.
        """
        found = {"name": identifier} if isinstance(identifier, str) else identifier
        if isinstance(found, dict):
            arguments = dict(found)
            name = arguments.pop("name", None)
            if not isinstance(name, str):
                raise PruneError(f"Expected a dict with a 'name'. Received: {self.kind}={identifier!r}.")
            found = self.made(self.member(name), name, arguments)
        elif isinstance(identifier, type):
            found = self.made(identifier, identifier.__name__, {})
        if self.base is not None and not isinstance(found, imported(self.base)):
            raise PruneError(
                f"Expected a name ({', '.join(self.names())}), a dict with a 'name', a class or an instance of "
                f"{self.base.replace(':', '.')}. Received: {self.kind}={identifier!r}."
            )
        return found

    def made(self, member: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> Any:
        """Calls a member with arguments; raises `PruneError` if they do not fit."""
        try:
            return member(**arguments)
        except TypeError as error:
            received = short(dict(arguments))
            if lacking := _lacking(member, arguments):
                raise PruneError(
                    f"The {self.kind} {name!r} needs {', '.join(lacking)}. Received: {received}. Give "
                    f"{{'name': {name!r}, {lacking[0]!r}: …}}, in a recipe {{name: {name}, {lacking[0]}: …}}."
                ) from error
            raise PruneError(f"The {self.kind} {name!r} could not be made: {error}. Received: {received}.") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())


def _lacking(member: Callable[..., Any], given: Mapping[str, Any]) -> list[str]:
    """Returns the names of the arguments that a member needs and does not get."""
    known = inspect.signature(member).parameters.values()
    named = [each for each in known if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    return [each.name for each in named if each.default is each.empty and each.name not in given]


def imported(address: str) -> Any:
    """Returns the object of an address `"module:Name"`, or the module of `"module"`."""
    module, _, name = address.partition(":")
    with extras(f"{module}.{name}".rstrip(".")):
        found = importlib.import_module(module)
    return attrgetter(name)(found) if name else found


def of_papers(table: str | None) -> dict[str, str]:
    """Returns `{name: "module:Name"}` of the additions of papers to a table; nothing for `None`."""
    found: dict[str, str] = {}
    for paper in pkgutil.iter_modules([str(Path(__file__).parent / "papers")]):
        found |= importlib.import_module(f"kerasprune.papers.{paper.name}").BRINGS.get(table, {})
    return found


_IMPORT = re.compile(r"^from ([\w.]+) import (\w+) as (\w+)$", re.M)
_VALUE = re.compile(r"^(\w+) = (\w+)\.(\w+)$", re.M)


def lazy(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Returns `__getattr__`, `__dir__` and `__all__` of a package whose public names are imported on first use.

    The names are those of its stub `__init__.pyi`, which editors and type checkers read too.

    Args:
        package: The dotted name of the package.

    Example:
        >>> find, names, _ = lazy("kerasprune.export.latency")
        >>> find("Latency").__name__, names()[-2:]
        ('Latency', ['profile', 'profile_phone'])
    """
    public = _stub(package)

    def find(name: str) -> Any:
        if name not in public:
            raise AttributeError(f"Expected one of {', '.join(sorted(public))}. Received: {name!r}.")
        return imported(public[name])

    return find, lambda: sorted(public), sorted(public)


def _stub(package: str) -> dict[str, str]:
    """Returns `{name: "module:Name"}` of the stub of a package, without names of papers that are not installed."""
    root = Path(__file__).parent
    text = (root.joinpath(*package.split(".")[1:]) / "__init__.pyi").read_text(encoding="utf-8")
    found = {alias: _address(root, module, name) for module, name, alias in _IMPORT.findall(text)}
    found |= {alias: f"{found[table]}.{name}" for alias, table, name in _VALUE.findall(text)}
    papers = {name for name, address in found.items() if address.startswith("kerasprune.papers.")}
    absent = {name for name in papers if not (root / "papers" / re.split("[.:]", found[name])[2]).is_dir()}
    return {name: address for name, address in found.items() if not name.startswith("_") and name not in absent}


def _address(root: Path, module: str, name: str) -> str:
    """Returns the address of what a stub imports from a module: a module inside it, or a name."""
    inside = root.joinpath(*module.split(".")[1:], name)
    return f"{module}{'.' if inside.is_dir() or inside.with_suffix('.py').is_file() else ':'}{name}"


criteria = Registry(
    "criterion",
    {
        "abs_grasp": "kerasprune.criteria.grasp:AbsGraSP",
        "apoz": "kerasprune.criteria.apoz:APoZ",
        "block_fisher": "kerasprune.criteria.block_fisher:BlockFisher",
        "bn_scale": "kerasprune.criteria.bn_scale:BatchNormScale",
        "fpgm": "kerasprune.criteria.fpgm:FPGM",
        "gradient_magnitude": "kerasprune.criteria.gradients:GradientMagnitude",
        "grasp": "kerasprune.criteria.grasp:GraSP",
        "group_l1": "kerasprune.criteria.grouped:GroupL1",
        "group_l2": "kerasprune.criteria.grouped:GroupL2",
        "grouped": "kerasprune.criteria.grouped:Grouped",
        "hrank": "kerasprune.criteria.hrank:HRank",
        "hrank_edge": "kerasprune.criteria.hrank:HRankEdge",
        "hrank_random": "kerasprune.criteria.hrank:HRankRandom",
        "hrank_reverse": "kerasprune.criteria.hrank:HRankReverse",
        "l1": "kerasprune.criteria.magnitude:L1",
        "l2": "kerasprune.criteria.magnitude:L2",
        "lamp": "kerasprune.criteria.lamp:LAMP",
        "obd": "kerasprune.criteria.obd:OBD",
        "obs": "kerasprune.criteria.obs:OBS",
        "random": "kerasprune.criteria.random:Random",
        "skeletonization": "kerasprune.criteria.gates:Skeletonization",
        "snip": "kerasprune.criteria.snip:SNIP",
        "synflow": "kerasprune.criteria.synflow:SynFlow",
        "taylor_fo": "kerasprune.criteria.gradients:TaylorFO",
        "taylor_fo_gate": "kerasprune.criteria.gates:TaylorFOGate",
        "thinet": "kerasprune.criteria.thinet:ThiNet",
    },
    base="kerasprune.criteria.base:Criterion",
)

block_criteria = Registry(
    "block criterion",
    base="kerasprune.papers.three_dimensions.block_criterion:BlockCriterion",
    table="block_criteria",
)

members = Registry(
    "members",
    {
        "everything": "kerasprune.criteria.members_of_channels:Everything",
        "makers": "kerasprune.criteria.members_of_channels:Makers",
        "readers": "kerasprune.criteria.members_of_channels:Readers",
        "scales": "kerasprune.criteria.members_of_channels:Scales",
    },
    base="kerasprune.criteria.members_of_channels:Members",
)

aggregations = Registry(
    "aggregation",
    {
        "first": "kerasprune.criteria.aggregation:First",
        "max": "kerasprune.criteria.aggregation:Max",
        "mean": "kerasprune.criteria.aggregation:Mean",
        "sum": "kerasprune.criteria.aggregation:Sum",
    },
    base="kerasprune.criteria.aggregation:Aggregation",
)

normalisations = Registry(
    "normalisation",
    {
        "larger": "kerasprune.criteria.normalisation:ByLarger",
        "max": "kerasprune.criteria.normalisation:ByMax",
        "mean": "kerasprune.criteria.normalisation:ByMean",
        "none": "kerasprune.criteria.normalisation:AsTheyAre",
        "norm": "kerasprune.criteria.normalisation:ByNorm",
        "quantile": "kerasprune.criteria.normalisation:ByQuantile",
        "range": "kerasprune.criteria.normalisation:ByRange",
        "standardised": "kerasprune.criteria.normalisation:Standardised",
        "sum": "kerasprune.criteria.normalisation:BySum",
    },
    base="kerasprune.criteria.normalisation:Normalisation",
)

budgets = Registry(
    "budget",
    {
        "global": "kerasprune.planning.budgets.global_threshold:GlobalBudget",
        "per_stage": "kerasprune.planning.budgets.per_stage:PerStage",
        "sensitivity": "kerasprune.planning.budgets.sensitivity:Sensitivity",
        "threshold": "kerasprune.planning.budgets.global_threshold:ThresholdBudget",
        "uniform": "kerasprune.planning.budgets.uniform:Uniform",
    },
    base="kerasprune.planning.budgets.base:Budget",
)

callbacks = Registry(
    "callback",
    {
        "freeze_kept": "kerasprune.callbacks.freeze_kept:FreezeKept",
        "gradual_magnitude": "kerasprune.callbacks.gradual_magnitude:GradualMagnitude",
        "greg1": "kerasprune.callbacks.greg1:GReg1",
        "greg2": "kerasprune.callbacks.greg2:GReg2",
        "hold_mask": "kerasprune.callbacks.hold_mask:HoldMask",
        "increg": "kerasprune.callbacks.increg:IncReg",
        "iterative_magnitude": "kerasprune.callbacks.iterative_magnitude:IterativeMagnitude",
        "learning_rate_rewinding": "kerasprune.callbacks.learning_rate_rewinding:LearningRateRewinding",
        "network_slimming": "kerasprune.callbacks.network_slimming:NetworkSlimming",
        "norm_history": "kerasprune.callbacks.norm_history:NormHistory",
        "polarization": "kerasprune.callbacks.polarization:Polarization",
        "resume": "kerasprune.callbacks.resume:Resume",
        "soft_filter_pruning": "kerasprune.callbacks.soft_filter_pruning:SoftFilterPruning",
        "sparsity": "kerasprune.callbacks.sparsity:Sparsity",
        "trained_quantization": "kerasprune.callbacks.trained_quantization:TrainedQuantization",
    },
    table="callbacks",
)

granularities = Registry(
    "granularity",
    {
        "block": "kerasprune.training.granularity:WeightBlock",
        "channel": "kerasprune.training.granularity:Channel",
        "filter": "kerasprune.training.granularity:Filter",
        "scale": "kerasprune.training.granularity:Scale",
        "weight": "kerasprune.training.granularity:Weight",
    },
    base="kerasprune.training.granularity:Granularity",
)

scopes = Registry(
    "scope",
    {
        "global": "kerasprune.training.scope:Global",
        "layer": "kerasprune.training.scope:Layer",
        "m_by_n": "kerasprune.training.scope:m_by_n",
        "pattern": "kerasprune.training.scope:Pattern",
    },
    base="kerasprune.training.scope:Scope",
)

models = Registry(
    "model",
    {
        "alexnet_cifar": "kerasprune.models.cifar_alexnet:alexnet_cifar",
        "densenet121": "kerasprune.models.keras_applications:densenet121",
        "densenet_cifar": "kerasprune.models.cifar_densenet:densenet_cifar",
        "efficientnet_b0": "kerasprune.models.keras_applications:efficientnet_b0",
        "gru_rows": "kerasprune.models.recurrent:gru_rows",
        "lenet_300_100": "kerasprune.models.lenet:lenet_300_100",
        "lenet_5": "kerasprune.models.lenet:lenet_5",
        "lstm_rows": "kerasprune.models.recurrent:lstm_rows",
        "mobilenet_v2": "kerasprune.models.mobilenet:mobilenet_v2",
        "resnet_cifar": "kerasprune.models.cifar_resnet:resnet_cifar",
        "resnet_imagenet": "kerasprune.models.imagenet_resnet:resnet_imagenet",
        "vgg_cifar": "kerasprune.models.cifar_vgg:vgg_cifar",
        "vgg_snip": "kerasprune.models.cifar_vgg:vgg_snip",
        "wide_resnet": "kerasprune.models.cifar_wide_resnet:wide_resnet",
    },
    base="keras:Model",
)

schedules = Registry(
    "schedule",
    {
        "constant": "kerasprune.training.schedules:constant",
        "cubic": "kerasprune.training.schedules:cubic",
        "linear": "kerasprune.training.schedules:linear",
        "steps": "kerasprune.training.schedules:steps",
    },
)

targets = Registry(
    "target",
    {"size": "kerasprune.planning.targets.size:Size", "time": "kerasprune.planning.targets.time:Time"},
    base="kerasprune.planning.targets.base:Target",
)

thresholds = Registry(
    "threshold",
    {
        "fixed": "kerasprune.training.thresholds:Fixed",
        "otsu": "kerasprune.training.thresholds:Otsu",
        "valley": "kerasprune.training.thresholds:Valley",
    },
    base="kerasprune.training.thresholds:Threshold",
)

# Each is a `kerasprune.export.formats.Format`.
formats = Registry(
    "format of export",
    {
        "kpz": "kerasprune.export.codec.kpz_format:KPZ",
        "saved_model": "kerasprune.export.formats:SAVED_MODEL",
        "tflite": "kerasprune.export.formats:TFLITE",
        "tflite-dynamic": "kerasprune.export.formats:TFLITE_DYNAMIC",
        "tflite-float16": "kerasprune.export.formats:TFLITE_FLOAT16",
        "tflite-int16x8": "kerasprune.export.formats:TFLITE_INT16X8",
        "tflite-int4": "kerasprune.export.formats:TFLITE_INT4",
        "tflite-int8": "kerasprune.export.formats:TFLITE_INT8",
        "tflite-int8-io": "kerasprune.export.formats:TFLITE_INT8_IO",
        "tflite-mixed": "kerasprune.export.formats:TFLITE_MIXED",
    },
)

augmentations = Registry(
    "augmentation",
    {
        "crop": "kerasprune.models.sets.augmentation:crop",
        "crop_flip": "kerasprune.models.sets.augmentation:crop_flip",
        "inception": "kerasprune.models.sets.augmentation:inception",
    },
)

reproductions = Registry(
    "reproduction",
    {
        "dense-networks": "kerasprune.recipes.reproductions.dense_networks:dense_networks",
        "greg-tables": "kerasprune.recipes.reproductions.greg_tables:greg_tables",
        "hrank-tables": "kerasprune.recipes.reproductions.hrank_tables:hrank_tables",
        "snip-lstm": "kerasprune.recipes.reproductions.snip_lstm:snip_lstm",
        "snip-params": "kerasprune.recipes.reproductions.snip_params:snip_params",
    },
    table="reproductions",
)

# Modules with `choose(run, model, section)`, the plan, and `rehearse(run, model, section)`, its early checks.
prune_sections = Registry("section of the pruning stage", table="prune_sections")

# Tuples of (heading, function of a record, caption), shown in reports of recipes with the section.
section_figures = Registry("figures of a section", table="section_figures")

# Functions of a run, in the order of `kerasprune.recipes.schema`.
STAGES = {
    "evaluate": "kerasprune.recipes.stages.evaluate:evaluate",
    "export": "kerasprune.recipes.stages.export:export",
    "finetune": "kerasprune.recipes.stages.finetune:finetune",
    "prune": "kerasprune.recipes.stages.prune:prune",
    "rebuild": "kerasprune.recipes.stages.rebuild:rebuild",
    "reconstruct": "kerasprune.recipes.stages.rebuild:reconstruct",
    "report": "kerasprune.recipes.stages.report:report",
    "train": "kerasprune.recipes.stages.finetune:train",
}
