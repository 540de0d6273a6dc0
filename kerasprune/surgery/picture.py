"""`plot`: the network as a picture of what is coupled, what is pinned, and what a plan removes."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np

from kerasprune.checks import choice_faults, kind_faults
from kerasprune.errors import EXTRAS, PruneError, check_installed, extras, raise_faults
from kerasprune.files.writing import picture_path, write_picture
from kerasprune.graph.built_model import LOAD
from kerasprune.graph.channels import Block, Group, TracedCall
from kerasprune.graph.graph import ChannelGraph
from kerasprune.graph.groups import distinct
from kerasprune.graph.plans import Plan
from kerasprune.graph.sizes import Size
from kerasprune.surgery.cut import Cut
from kerasprune.surgery.graphs import graph_at
from kerasprune.tables import Graphic, Part, Shown, Table

DETAILS = ("groups", "layers")
_DRAWN_BY = "pygraphviz"
_MANY = 40  # boxes, from which a block is one box
_LONGEST, _LINE = 30, 52  # letters of a name, and of a line with classes, in a box
_CELLS = 6  # groups whose channels a box shows
_TURN = 0.381966  # between the hues of two groups: the golden angle
_SHADE = "4d"  # opacity, so that the text can be read on light and on dark ground
_PINNED, _GONE = "#8a949f", "#d9534f"
_UNSEEN = re.compile(r"[\x00-\x1f\x7f]")
_ABOUT = "The network: a colour for each group of coupled channels, with channels before and after."


@dataclass(frozen=True)
class Picture(Shown):
    """The picture of a network.

    Args:
        table: Its groups: channels, channels kept, layers, and why they are pinned.
        dot: The picture in the language of Graphviz.
    """

    table: Table
    dot: str = field(repr=False)

    def __str__(self) -> str:
        """Returns the table."""
        return str(self.table)

    @cached_property
    def svg(self) -> str:
        """The picture as SVG text; empty without pygraphviz."""
        return draw_network(self.dot)

    def save(self, path: str | Path) -> Path:
        """Writes the picture, `.svg`, `.png` or `.pdf`, and returns its path.

        Raises:
            PruneError: The name ends differently, or pygraphviz is not installed; the message has the table.
        """
        return write_picture(path, self._render)

    def _render(self, form: str) -> bytes:
        try:
            with extras("kp.plot"):
                check_installed(_DRAWN_BY)
        except PruneError as error:
            raise PruneError(f"{error} What it would draw:\n{self.table}") from error
        return _rendered(self.dot, form)

    def _shown(self) -> list[Part]:
        if self.svg:
            return [Graphic(self.svg, _ABOUT)]
        return [f'pip install "kerasprune[{EXTRAS[_DRAWN_BY]}]" draws this as a picture', self.table]


def draw_network(dot: str) -> str:
    """Returns a picture in the language of Graphviz as SVG text, empty without pygraphviz."""
    if find_spec(_DRAWN_BY) is None:
        return ""
    svg = _rendered(dot, "svg").decode()
    # Graphviz makes titles for links alone, and numbers them on from picture to picture.
    svg = re.sub(r'<a xlink:href=" " xlink:title="([^"]*)">', r"<g><title>\1</title>", svg).replace("</a>", "</g>")
    return re.sub(r' id="a_\w+"', "", svg)


def _rendered(dot: str, form: str) -> bytes:
    from pygraphviz import AGraph

    return AGraph(dot).draw(format=form, prog="dot")


def plot(
    model: keras.Model | ChannelGraph,
    plan: Plan | None = None,
    to_file: str | Path | None = None,
    *,
    by: str = "groups",
    size: Size | None = None,
) -> Picture:
    """Draws which channels of a network are coupled, which are pinned and why, and what a plan removes.

    Every box shows its channels, `64`, and with a plan those kept, `64 → 32`, in the colour of their group: boxes of
    one colour lose the same channels. Grey ones are pinned; removed blocks are struck out.

    Args:
        model: The model, or its graph from `kp.trace`.
        plan: A plan for it. Defaults to `None`: what is there.
        to_file: A file to write, `.svg`, `.png` or `.pdf`, in place of one of that name. Defaults to `None`: the
            picture is shown in a notebook.
        by: `"groups"`: layers that pass the channels of one group on are one box, and in a large network each block is;
            or `"layers"`: a box for each layer. Defaults to `"groups"`.
        size: Size of the inputs, see `kp.trace`, if the model leaves it free. Defaults to the plan's, else the model's.

    Returns:
        The picture: a notebook shows it, `.save(path)` writes it, and `print` shows its groups as a table. It is drawn
        by pygraphviz, `pip install "kerasprune[plot]"`, which brings Graphviz along; without it the table is shown.

    Raises:
        PruneError: The plan does not fit the model, the name of the file ends differently, or it cannot be drawn.

    Example:
        >>> import keras, kerasprune as kp
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, name="hidden"), keras.layers.Dense(2)])
        >>> print(kp.plot(model, kp.plan(model, keep=0.5)).table.rows[1])
        ('hidden', '8', '4', 'hidden')
    """
    kinds = [] if isinstance(model, ChannelGraph) else kind_faults(keras.Model, LOAD, model=model)
    if plan is not None:
        kinds += kind_faults(Plan, "Give the name of a file as to_file=.", plan=plan)
    raise_faults("Invalid arguments for plot:", [*kinds, *choice_faults(DETAILS, by=by)])
    path = None if to_file is None else picture_path(to_file)
    graph = graph_at(model, plan, size)
    if plan is not None:
        Cut.of(graph, plan)  # raises if the plan does not fit
    drawn = _Network(graph, plan or Plan({}, coupling=graph.coupling), by)
    picture = Picture(drawn.table(), drawn.dot())
    if path is not None:
        picture.save(path)
    return picture


@dataclass(eq=False)
class _Box:
    """Calls that are drawn as one.

    Args:
        calls: Their places in the order of the graph.
        block: The block that they are. Defaults to `None`: a few layers in a row.
    """

    calls: list[int]
    block: Block | None = None


class _Network:
    """A traced network as boxes, and arrows between them.

    Args:
        graph: The graph.
        plan: The plan.
        by: As for `plot`.
    """

    def __init__(self, graph: ChannelGraph, plan: Plan, by: str) -> None:
        self.graph, self.plan = graph, plan
        self.names, self.owner = list(graph.groups), graph.places[0]
        self.alive = graph.alive(plan.keep)
        self.kernels = {id(kernel.owner) for kernel in graph.kernels}
        self.removed = {name for block in plan.removed for name in graph.blocks[block].layers}
        self.makers = self._makers()
        self.inner = self._inner()
        self.boxes = self._of_layers() if by == "layers" else self._of_groups()

    def table(self) -> Table:
        """Returns the groups."""
        rows, with_plan = [], bool(self.plan.keep or self.plan.removed)
        for group in self.graph.groups.values():
            kept = len(self.plan.keep.get(group.name, range(group.size)))
            reason = f"  ({group.reason})" if group.reason else ""
            cells = (group.name, str(group.size), str(kept), f"{', '.join(group.layers)}{reason}")
            rows.append(cells if with_plan else (*cells[:2], cells[3]))
        header = ("group", "channels", "kept", "layers") if with_plan else ("group", "channels", "layers")
        return Table(header, rows, left=(0, len(header) - 1))

    def dot(self) -> str:
        """Returns the network in the language of Graphviz."""
        place = {call: number for number, box in enumerate(self.boxes) for call in box.calls}
        arrows = {(place[made], place[call]) for call, given in self.makers.items() for made in given}
        lines = [
            'digraph { bgcolor="transparent"; rankdir=TB; nodesep=0.25; ranksep=0.3;',
            'node [shape=plain, fontname="Helvetica,Arial,sans-serif", fontsize=11, fontcolor="#000000"];',
            f'edge [color="{_PINNED}", arrowsize=0.6];',
            *(f"b{number} [label=<{self._label(box)}>];" for number, box in enumerate(self.boxes)),
            *(f"b{one} -> b{other};" for one, other in sorted(arrows) if one != other),
        ]
        return "\n".join([*lines, "}"])

    # ---- boxes -------------------------------------------------------------------------------------------------

    def _makers(self) -> dict[int, list[int]]:
        """Returns `{place of a call: places of the calls that make its inputs}`."""
        maker: dict[int, int] = {}
        found = {}
        for place, call in enumerate(self.graph.calls):
            tensors = call.node.input_tensors
            # The tensors of a nested model are others than those that it is called with; their ids are the same.
            given = tensors if all(id(x) in maker for x in tensors) else (*tensors, *call.inputs)
            found[place] = list(dict.fromkeys(maker[id(x)] for x in given if id(x) in maker))
            maker |= dict.fromkeys(map(id, (*call.node.outputs, *call.outputs)), place)
        return found

    def _inner(self) -> dict[int, list[int]]:
        """Returns `{id(operation): numbers of the groups inside}`, such as the heads of attention, which none emits."""
        emitted = {number for place in range(len(self.graph.calls)) for number in self._groups(place)}
        operation_of = {id(weight): operation for operation, weights, _ in self.graph.weights for weight in weights}
        found: dict[int, list[int]] = {}
        for number, name in enumerate(self.names):
            entries = [] if number in emitted else [each for each, *_ in self.graph.made_by(name)]
            for operation in dict.fromkeys(operation_of.get(id(each.variable)) for each in entries):
                found.setdefault(id(operation), []).append(number)
        return found

    def _of_layers(self) -> list[_Box]:
        return [_Box([place]) for place in range(len(self.graph.calls))]

    def _of_groups(self) -> list[_Box]:
        """Returns a box for each row of calls of one group, and in a large network for each block."""
        rows = self._rows()
        return self._in_blocks(rows) if len(rows) > _MANY else rows

    def _rows(self) -> list[_Box]:
        readers: dict[int, int] = {}
        for given in self.makers.values():
            for made in given:
                readers[made] = readers.get(made, 0) + 1
        box_of: dict[int, _Box] = {}
        for place, call in enumerate(self.graph.calls):
            given = self.makers[place]
            alone = len(given) == 1 and readers[given[0]] == 1 and id(call.operation) not in self.kernels
            if alone and self._groups(given[0]) == self._groups(place) and self._gone(given[0]) == self._gone(place):
                box_of[place] = box_of[given[0]]
                box_of[place].calls.append(place)
            else:
                box_of[place] = _Box([place])
        return list(dict.fromkeys(box_of.values()))

    def _in_blocks(self, rows: list[_Box]) -> list[_Box]:
        """Returns the boxes with those inside a block as one; of blocks within each other the largest."""
        block_of: dict[str, Block] = {}
        found = [each for each in self.graph.blocks.values() if each.kind != "plain"]
        for block in sorted(found, key=lambda each: -len(each.layers)):
            if not any(name in block_of for name in block.layers):
                block_of |= dict.fromkeys(block.layers, block)
        merged: dict[str, _Box] = {}
        drawn = []
        for box in rows:
            inside = {id(block): block for call in box.calls if (block := block_of.get(self._name(call)))}
            if len(inside) != 1 or not all(self._name(call) in block_of for call in box.calls):
                drawn.append(box)
                continue
            block = next(iter(inside.values()))
            if block.name not in merged:
                merged[block.name] = _Box([], block)
                drawn.append(merged[block.name])
            merged[block.name].calls += box.calls
        return drawn

    # ---- labels ------------------------------------------------------------------------------------------------

    def _name(self, place: int) -> str:
        return self.graph.calls[place].operation.name

    def _gone(self, place: int) -> bool:
        return self._name(place) in self.removed

    def _groups(self, place: int) -> tuple[int, ...]:
        """Returns the numbers of the groups whose channels a call emits."""
        lines = _lines(self.graph.calls[place])
        found = distinct(self.owner[self.graph.classes[np.concatenate(lines)]]).tolist() if lines else []
        return tuple(number for number in found if number >= 0)

    def _label(self, box: _Box) -> str:
        first, gone = box.calls[0], all(map(self._gone, box.calls))
        kinds = dict.fromkeys(type(self.graph.calls[place].operation).__name__ for place in box.calls)
        if box.block is None:
            name, about = self._name(first), ", ".join(kinds)
            widths = self._widths(box.calls[-1])
        else:
            name, number = box.block.name, len(box.calls)
            about = f"{box.block.kind} block of {number} layer{'s' * (number > 1)}"
            making = [place for place in box.calls if id(self.graph.calls[place].operation) in self.kernels]
            widths = [width for place in making or box.calls[-1:] for width in self._widths(place)]
        widths = [*self._inside(box.calls), *widths]
        rows = [f"<B>{_struck(_escaped(_shortened(name, _LONGEST)), gone)}</B>"]
        rows.append(f'<FONT POINT-SIZE="9">{_struck(_escaped(_shortened(about, _LINE)), gone)}</FONT>')
        reason = self._reason(box.calls)
        if reason:
            rows.append(f'<FONT POINT-SIZE="9"><I>{_escaped(_shortened(reason, _LINE))}</I></FONT>')
        span = max(len(widths), 1)
        body = "".join(f'<TR><TD COLSPAN="{span}">{row}</TD></TR>' for row in rows)
        cells = "".join(f'<TD BGCOLOR="{colour}{_SHADE}">{_struck(text, gone)}</TD>' for text, colour in widths)
        edge = _GONE if gone else _PINNED
        body += f"<TR>{cells}</TR>" if cells else ""
        title = _escaped(", ".join(self._name(place) for place in box.calls))
        style = f'BORDER="1" COLOR="{edge}"{" STYLE=" + chr(34) + "dashed" + chr(34) if gone else ""}'
        attributes = f'{style} CELLBORDER="0" CELLSPACING="1" CELLPADDING="2" TITLE="{title}" HREF=" "'
        return f"<TABLE {attributes}>{body}</TABLE>"

    def _widths(self, place: int) -> list[tuple[str, str]]:
        """Returns the channels that a call emits, before and after, and the colour of their group, for each group."""
        call = self.graph.calls[place]
        lines = _lines(call)
        if not lines:
            size = call.outputs[0].shape[-1] if call.outputs and call.outputs[0].shape else None
            return [] if size is None else [(str(size), _PINNED)]
        found = []
        for ids in lines:
            owners = self.owner[self.graph.classes[ids]]
            for number in dict.fromkeys(owners.tolist()):
                size, kept = int((owners == number).sum()), int(self.alive[ids[owners == number]].sum())
                found.append((str(size) if kept == size else f"{size} → {kept}", self._colour(number)))
        return found[:_CELLS] + [("…", _PINNED)] * (len(found) > _CELLS)

    def _inside(self, calls: Iterable[int]) -> Iterator[tuple[str, str]]:
        """Yields the groups inside layers: name, number before and after, and colour."""
        for operation in dict.fromkeys(id(self.graph.calls[place].operation) for place in calls):
            for number in self.inner.get(operation, ()):
                group = self._group(number)
                kept = len(self.plan.keep.get(group.name, range(group.size)))
                size = str(group.size) if kept == group.size else f"{group.size} → {kept}"
                yield f"{_escaped(_shortened(group.name.rpartition('/')[2], _LONGEST))} {size}", self._colour(number)

    def _colour(self, number: int) -> str:
        if number < 0 or not self._group(number).prunable:
            return _PINNED
        hue = (0.58 + _TURN * list(self.graph.prunable).index(self.names[number])) % 1
        return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, 0.5, 0.65))

    def _group(self, number: int) -> Group:
        return self.graph.groups[self.names[number]]

    def _reason(self, calls: Iterable[int]) -> str:
        """Returns why the channels that a call makes are pinned, where it is the first that makes them."""
        for place in calls:
            for number in self._groups(place):
                group = self._group(number)
                if group.reason and group.name == self._name(place):
                    return group.reason
        return ""


def _lines(call: TracedCall) -> list[np.ndarray]:
    """Returns the channel ids along the axes of the first output."""
    return [ids for _, ids in sorted(call.outputs[0].axes.items()) if ids.size] if call.outputs else []


def _struck(text: str, gone: bool) -> str:
    return f"<S>{text}</S>" if gone and text else text


def _escaped(text: str) -> str:
    """Returns text as Graphviz shows it in a label: no character that XML lacks, no backslash of its own language."""
    return escape(_UNSEEN.sub("\ufffd", text)).replace("\\", "\\\\")


def _shortened(text: str, most: int) -> str:
    half = most // 2
    return text if len(text) <= most else f"{text[: half - 1]}…{text[len(text) - half :]}"
