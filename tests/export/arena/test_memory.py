"""The arena of a file as it is counted, and as tflite-micro allocates it."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from support.micro_networks import NETWORKS, allocated, network
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune.export.arena.greedy_planner import Buffer, arena_bytes, holding_up, offsets

pytest.importorskip("ai_edge_litert")
pytestmark = [pytest.mark.experiments, pytest.mark.filterwarnings("ignore::UserWarning")]


def written(model, path, quantize=None, io="float"):
    data = np.random.default_rng(0).normal(size=(16, *model.input_shape[1:])).astype("float32")
    return kp.export.tflite(model, path, quantize=quantize, data=data, io=io, force=True)


CASES = [(name, quantize) for name in NETWORKS for quantize in (None, "int8")]


@pytest.mark.parametrize(
    ("name", "quantize"),
    [pytest.param(*each, marks=() if each == ("resnet8", None) else pytest.mark.thorough) for each in CASES],
)
def test_the_arena_is_that_of_tflite_micro(name, quantize, tmp_path):
    pytest.importorskip("tflite_micro")
    report = written(network(name), tmp_path / "net.tflite", quantize)
    found, wanted = kp.export.memory(report.path), allocated(report.path)
    assert found.head == wanted.head
    assert found.tail == pytest.approx(wanted.tail, rel=0.01)
    assert found.live <= found.head and report.ram == found.ram == found.head + found.tail
    assert "has no" not in str(found) and "not known" not in str(found)


ALONE = {
    "mean": lambda x: keras.ops.mean(x, axis=(1, 2)),
    "largest": lambda x: keras.ops.max(x, axis=(1, 2)),
    "turned": lambda x: layers.Conv2DTranspose(8, 2, 2)(x),
    "product": lambda x: keras.ops.matmul(keras.ops.transpose(x, (0, 1, 3, 2)), x),
    "slope": lambda x: layers.PReLU(shared_axes=[1, 2])(x),
    "cut": lambda x: layers.Cropping2D(1)(x),
    "both": lambda x: layers.Concatenate()([x, layers.Activation("tanh")(x)]),
    "gate": lambda x: layers.Multiply()([x, layers.Activation("sigmoid")(x)]),
}


@pytest.mark.thorough
@pytest.mark.parametrize("io", ["float", "int8"])
@pytest.mark.parametrize("name", ALONE)
def test_what_single_operators_ask_for_is_counted(name, io, tmp_path):
    pytest.importorskip("tflite_micro")
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 16))
    model = keras.Model(inputs, ALONE[name](inputs))
    report = written(model, tmp_path / "one.tflite", "int8" if io == "int8" else None, io)
    found, wanted = kp.export.memory(report.path), allocated(report.path)
    assert found.head == wanted.head
    assert found.tail == pytest.approx(wanted.tail, rel=0.05)  # of a thousand bytes


BUFFERS = st.lists(
    st.tuples(st.integers(1, 200), st.integers(0, 9), st.integers(0, 9)).map(
        lambda each: Buffer(each[0], min(each[1:]), max(each[1:]))
    ),
    min_size=1,
    max_size=12,
)


@given(BUFFERS)
def test_what_is_in_memory_at_once_never_overlaps(buffers):
    found = offsets(buffers)
    ends = [offset + -(-each.bytes // 16) * 16 for each, offset in zip(buffers, found, strict=True)]
    for one in range(len(buffers)):
        for other in range(one):
            apart = ends[one] <= found[other] or ends[other] <= found[one]
            together = buffers[one].first <= buffers[other].last and buffers[other].first <= buffers[one].last
            assert apart or not together
    assert arena_bytes(buffers, found) == max(ends)
    chain = holding_up(buffers, found)
    assert ends[chain[0]] == max(ends) and found[chain[-1]] == 0
    assert all(found[above] == ends[below] for above, below in zip(chain, chain[1:], strict=False))


def test_the_report_says_where_the_peak_is(tmp_path):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((12, 12, 4)), layers.Conv2D(32, 3, name="wide"), layers.Conv2D(4, 3)])
    report = written(model, tmp_path / "net.tflite")
    found = kp.export.memory(report.path)
    assert found.peak == "CONV_2D (1 of 2)" and [size for _, size in found.tensors] == [12_800, 2304]
    assert found.live == 2304 + 12_800 and [size for _, size in found.schedule] == [15_104, 13_824]
    assert found.macs == kp.cost(model).macs
    assert f"RAM: {found.ram:,} bytes" in str(found) and "<svg" in found._repr_html_()
    assert found.save(tmp_path / "schedule.svg").stat().st_size > 1000


def test_the_command_prints_the_memory_of_a_file(tmp_path):
    from kerasprune import cli

    model = keras.Sequential([keras.Input((8, 8, 4)), layers.Conv2D(4, 3)])
    path = written(model, tmp_path / "net.tflite").path
    run = CliRunner().invoke
    shown = json.loads(run(cli.app, ["inspect", str(path), "--ram", "--json"]).stdout)
    assert shown["ram"] == kp.export.memory(path).ram and shown["flash"] == path.stat().st_size
    assert "RAM: " in run(cli.app, ["inspect", str(path), "--ram"]).stdout
    model.save(tmp_path / "net.keras")
    refused = run(cli.app, ["inspect", str(tmp_path / "net.keras"), "--ram"])
    assert refused.exit_code == 2 and "tflite-int8" in refused.stderr


@pytest.mark.thorough
def test_what_tflite_micro_does_not_run_is_named(tmp_path):
    keras.utils.set_random_seed(0)
    dense = keras.Sequential([keras.Input((64,)), layers.Dense(64, "relu"), layers.Dense(4, "gelu")])
    for quantize in ("float16", "dynamic"):
        report = kp.export.tflite(dense, tmp_path / f"{quantize}.tflite", quantize=quantize, force=True)
        said = " ".join(kp.export.memory(report.path).remarks)
        assert "has no GELU" in said and "8 or 16 bits beside floats" in said
    report = written(keras.Sequential([keras.Input((12, 4)), layers.LSTM(4)]), tmp_path / "lstm.tflite", "int8")
    assert "unrolled" in " ".join(kp.export.memory(report.path).remarks)
    looped = written(keras.Sequential([keras.Input((12, 4)), layers.LSTM(4)]), tmp_path / "loop.tflite")
    assert "a loop are counted once" in " ".join(kp.export.memory(looped.path).remarks)


def test_something_else_is_no_file_of_tflite(tmp_path):
    (tmp_path / "net.tflite").write_bytes(b"no model, but twelve letters and more")
    with pytest.raises(kp.PruneError, match="Expected a TFLite model"):
        kp.export.memory(tmp_path / "net.tflite")
    with pytest.raises(kp.PruneError, match="which is not a file"):
        kp.export.memory(tmp_path / "other.tflite")
    with pytest.raises(kp.PruneError, match="Expected a path"):
        kp.export.memory(None)
    content = written(keras.Sequential([keras.Input((4,)), layers.Dense(2)]), tmp_path / "whole.tflite").path
    (tmp_path / "cut.tflite").write_bytes(content.read_bytes()[:600])
    with pytest.raises(kp.PruneError, match="which is damaged"):
        kp.export.memory(tmp_path / "cut.tflite")
