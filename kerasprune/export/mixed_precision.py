"""int8 with some layers in float: which layers cost most alone, and a file with those in float."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasprune._keras import inner_layers
from kerasprune.checks import choice_faults
from kerasprune.data.signature import Signature, is_graph
from kerasprune.errors import PruneError, raise_faults
from kerasprune.export.conversion import explain_converter_errors, to_tflite
from kerasprune.export.converter import FLOAT_FILE, RANGES_FILE
from kerasprune.export.converter_child import RESULT
from kerasprune.export.converter_process import process
from kerasprune.export.forward_pass import output_names
from kerasprune.export.plain_names import with_distinct_names, with_plain_names
from kerasprune.export.samples import Samples
from kerasprune.export.tflite_graph import layers_in, nodes
from kerasprune.export.tflite_interpreter import open_interpreter, single_runner
from kerasprune.graph.built_model import body_of
from kerasprune.graph.groups import number_repeated
from kerasprune.graph.walk import walk
from kerasprune.surgery.output_distance import distances, error_of_quantities
from kerasprune.surgery.output_kind import last_axes

PART = 0.5  # of the error of the int8 file that the mixed one may have


@dataclass(frozen=True)
class LayerNames:
    """The names of the layers of a model and of models in it, a layer before those that it is made of.

    Args:
        in_file: `{name in a file: name}`. Layers of one name, as in an ensemble, are numbered: `"conv#1"`, `"conv#2"`;
            those of one name in layers that are made of others stay together.
        of: `{id of a layer: name}`.
    """

    in_file: Mapping[str, str]
    of: Mapping[int, str]

    @classmethod
    def of_model(cls, model: keras.Model) -> LayerNames:
        """Returns the names of a model's layers in the file of `with_distinct_names` of it."""
        layers, copies = (_layers(each) for each in (model, with_plain_names(with_distinct_names(model))))
        own = {copy.name: layer.name for copy, layer in zip(copies, layers, strict=True)}
        last = dict.fromkeys(copy.name for copy in reversed(copies))  # a part comes after all layers that have it
        names = dict(zip(reversed(last), number_repeated(own[name] for name in reversed(last)), strict=True))
        return cls(names, {id(layer): names[copy.name] for copy, layer in zip(copies, layers, strict=True)})


def match_names(name: str, layers: Iterable[str]) -> list[str]:
    """Returns those of some layers that a name stands for: that layer, or all that are numbered."""
    return [each for each in layers if name in (each, each.rpartition("#")[0])]


def layer_faults(names: Iterable[str], layers: Collection[str]) -> list[str]:
    """Returns a fault for each of `float_layers` that stands for none of some layers."""
    unknown = [name for name in names if not match_names(name, layers)]
    return [fault for name in unknown for fault in choice_faults(layers, float_layers=name)]


def _layers(model: keras.Model) -> list[Any]:
    return [layer for layer in inner_layers(model) if not isinstance(layer, keras.Model)]


def _made_by(model: keras.Model, count: int, names: Mapping[int, str]) -> Iterator[tuple[str, list[str]]]:
    """Returns pairs of an output's name in the file, and the layers that end in it, the last one first.

    They begin with the last that has a kernel or several inputs; there are none if the model has no graph.
    """
    outputs = output_names(model, count)
    if not is_graph(model):
        return zip(outputs, [[]] * count, strict=True)
    chains: dict[int | None, list[str]] = {None: []}

    def visit(node: Any, *before: Any, **_: Any) -> list[int]:
        made, single = node.operation, len(node.input_tensors) == 1 and before
        begins = not single or any(len(weight.shape) > 1 for weight in getattr(made, "weights", ()))
        own = [names[id(made)]] if id(made) in names else []  # an operation that is no layer has no name in a file
        chains[id(made)] = [*own, *([] if begins else chains[before[0]])]
        return [id(made)] * len(node.outputs)

    makers = walk(body_of(model), [None] * len(model.inputs), visit)
    return zip(outputs, [chains[maker] for maker in makers], strict=True)


class MixedFiles:
    """The `.tflite` files of a model of which some layers compute in int8, and the others in float.

    An operator of the file that is made of several layers, such as a convolution, BatchNorm and ReLU, goes by the name
    of the first of them; others that the file names stand for it, too. One without a name goes with that before it.

    Args:
        model: The model.
        signature: Its inputs, without free sides.
        samples: The first 256 calibrate.
        count: Number of samples on which errors are measured.
        folder: An empty folder for files in between.
        check_float: See `to_tflite`.
    """

    def __init__(
        self,
        model: keras.Model,
        signature: Signature,
        samples: Samples,
        count: int,
        folder: Path | str,
        check_float: Callable[[bytes], None] | None = None,
    ) -> None:
        self._folder, self._explained = Path(folder), partial(explain_converter_errors, model.name, "mixed")
        ranges = self._folder / RANGES_FILE
        distinct = with_distinct_names(model)
        ranges.write_bytes(to_tflite(distinct, signature, "mixed", samples, check_float=check_float))
        self._inputs, self._names = samples.arrays(count), (signature.names, partial(output_names, model))
        self._expected, self._axes = self._outputs(ranges), last_axes(model)
        ends = open_interpreter(ranges).get_signature_runner().get_output_details()
        layers_of = LayerNames.of_model(model)
        names_in_file = layers_of.in_file
        known = {name: place for place, name in enumerate(names_in_file.values())}
        self.operators: dict[str, list[str]] = {}  # names of their tensors, by that of the layer
        self._names_of: dict[str, str] = {}
        made_by = {ends[name]["name"]: layers for name, layers in _made_by(model, len(ends), layers_of.of)}
        titles = {
            node.tensor: [names_in_file[name] for name in layers_in(node.tensor, names_in_file)]
            for node in nodes(ranges)
            if node.tensor not in made_by
        }
        elsewhere = {layer for layers in titles.values() for layer in layers}
        for tensor, layers in made_by.items():  # the file names outputs by themselves
            titles[tensor] = [*takewhile(lambda layer: layer not in elsewhere, layers)] or layers[:1]
        found: list[str] = []
        for node in nodes(ranges):
            found = sorted(titles[node.tensor], key=known.__getitem__) or found or [node.tensor]
            self.operators.setdefault(found[0], []).append(node.tensor)
            self._names_of |= dict.fromkeys(found, found[0])

    def with_float(self, layers: Collection[str]) -> bytes:
        """Returns the file in which these layers compute in float.

        Raises:
            PruneError: A name is not that of a layer with an operator in the file, or the converter fails.
        """
        known = [*self._names_of]
        raise_faults("These layers have no operator in the file:", layer_faults(layers, known))
        wanted = dict.fromkeys(self._names_of[each] for name in layers for each in match_names(name, known))
        tensors = [tensor for name in wanted for tensor in self.operators[name]]
        (self._folder / FLOAT_FILE).write_text(json.dumps(tensors))
        with self._explained():
            return process.convert(self._folder, "mixed", "float")

    def error(self, layers: Collection[str]) -> float:
        """Returns the error of the outputs if these layers compute in float, see `precision_sensitivity`."""
        self.with_float(layers)
        return self._error_of_last()

    def sensitivities(self) -> dict[str, float]:
        """Returns the error with one layer in int8, for each layer, the largest first."""
        errors = {name: self.error([each for each in self.operators if each != name]) for name in self.operators}
        return dict(sorted(errors.items(), key=lambda item: -item[1]))

    def chosen(self, max_bytes: int | None) -> list[str]:
        """Returns the fewest layers, the costliest first, that halve the error of the int8 file if they stay float.

        Args:
            max_bytes: Most bytes of the file, by which they may be fewer, or `None`.

        Raises:
            PruneError: The int8 file has more bytes.
        """
        whole = len(self.with_float([]))
        if max_bytes is not None and whole > max_bytes:
            raise PruneError(
                f"Expected max_bytes to be at least {whole}, the bytes of the int8 file. "
                f"Received: max_bytes={max_bytes!r}. Raise it, or prune more."
            )
        error, kept = self._error_of_last(), []
        most = PART * error
        for name in self.sensitivities():
            if error <= most:
                break
            made = self.with_float([*kept, name])
            if max_bytes is not None and len(made) > max_bytes:
                break
            error = self._error_of_last()
            kept.append(name)
        return kept

    def _error_of_last(self) -> float:
        """Returns the error of the outputs of the file that was converted last."""
        return error_of_quantities(distances([(self._expected, self._outputs(self._folder / RESULT))], self._axes))

    def _outputs(self, path: Path) -> Sequence[np.ndarray]:
        return single_runner(open_interpreter(path), *self._names)(self._inputs)
