"""Models of KerasHub made smaller: the same class, exact, with all that it can do."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

import kerasprune as kp

pytest.importorskip("keras_hub")

import keras_hub  # noqa: E402
from support.hub_tasks import TASKS, WORDS, asked, classifier  # noqa: E402

from kerasprune.hub.layer_scores import layer_influence  # noqa: E402
from kerasprune.surgery.inlining.inline import write_out  # noqa: E402

pytestmark = [pytest.mark.hub, pytest.mark.filterwarnings("ignore::UserWarning")]
TEXTS = ["the dog sat on the house", "a red cat ran", "the house was blue and not red", "a dog is a dog"] * 8


def shaken(model: keras.Model) -> keras.Model:
    random = np.random.default_rng(0)
    for weight in model.weights:
        if "float" in str(weight.dtype):
            weight.assign(weight + random.normal(0, 0.1, weight.shape))
    return model


def tokens(number: int = 4, length: int = 10) -> dict[str, np.ndarray]:
    words = np.random.default_rng(0).integers(1, 60, (number, length))
    return {"token_ids": words, "padding_mask": np.ones((number, length), "int32")}


def inputs_of(model: keras.Model) -> object:
    if not isinstance(model.input, dict):
        return np.random.default_rng(0).random((4, 32, 32, 3)).astype("float32")
    given = tokens()
    return {**given, "segment_ids": np.zeros_like(given["token_ids"])} if "segment_ids" in model.input else given


@pytest.mark.parametrize("name", TASKS)
def test_a_task_stays_a_task_and_computes_what_its_cut_graph_does(name):
    task = shaken(TASKS[name]())
    slim, plan, report = kp.hub.shrink(task, **asked(name))
    assert type(slim) is type(task) and report.error <= 1e-5
    config = slim.backbone.get_config()
    assert config["hidden_dim"] == 16 and report.params == (task.count_params(), slim.count_params())
    assert report.params[1] < 0.5 * report.params[0] and "hidden: 32 → 16" in str(report)
    again = type(slim.backbone).from_config(config)
    assert [w.shape for w in again.weights] == [w.shape for w in slim.backbone.weights]
    if name in ("BertTextClassifier", "RobertaTextClassifier", "ViTImageClassifier", "GPT2CausalLM"):
        _, written = write_out(task)  # and the graph what a mask does
        plan = kp.Plan(plan.keep)
        assert kp.verify(written, kp.rebuild(written, plan), plan, inputs_of(task)).passed
    backbone, _, alone = kp.hub.shrink(task.backbone, **asked(name))
    assert type(backbone) is type(task.backbone) and alone.error <= 1e-5


@pytest.mark.parametrize("name", ["BertTextClassifier", "Llama3CausalLM", "Qwen3CausalLM", "GPT2CausalLM"])
def test_units_and_heads_that_go_are_those_of_the_dense_class_with_silent_kernels(name):
    """Without a graph: kernels that make what goes are set to zero in the dense class."""
    task, heads = shaken(TASKS[name]()), {"heads": 2, "kv_heads": 1} if name == "Qwen3CausalLM" else {}
    slim, plan, _ = kp.hub.shrink(task, intermediate=24, **heads)
    for number in range(3):
        layer = next(each for each in task.backbone._flatten_layers() if each.name == f"transformer_layer_{number}")
        inner = {each.name: each for each in layer._flatten_layers()}
        (gone,) = (
            np.setdiff1d(np.arange(64), kept) for group, kept in plan.keep.items() if f"_{number}_feedforward" in group
        )
        for each in ("feedforward_intermediate_dense", "feedforward_gate_dense"):
            if each in inner:
                kernel = ops.convert_to_numpy(inner[each].kernel).copy()
                kernel[:, gone] = 0
                inner[each].kernel.assign(kernel)
        for group, kept in plan.keep.items() if heads else ():
            if f"_{number}_self_attention/kv_heads" in group:
                kernel = ops.convert_to_numpy(inner["value"].kernel).copy()
                kernel[:, np.setdiff1d(np.arange(2), kept)] = 0
                inner["value"].kernel.assign(kernel)
    given = inputs_of(task)
    np.testing.assert_allclose(slim.predict(given, verbose=0), task.predict(given, verbose=0), atol=1e-5)


def test_the_layers_that_turn_least_go_and_the_others_are_as_they_were():
    task = shaken(TASKS["Llama3CausalLM"]())
    second = next(each for each in task.backbone._flatten_layers() if each.name == "transformer_layer_1")
    for each in second._flatten_layers():
        if each.name in ("attention_output", "feedforward_output_dense"):
            each.kernel.assign(ops.zeros_like(each.kernel))  # the layer passes on what goes in
    assert layer_influence(task, tokens())[1] == pytest.approx(0, abs=1e-6)
    slim, _, report = kp.hub.shrink(task, layers=2, data=tokens())
    assert report.layers == (0, 2) and "layers kept: 0, 2" in str(report)
    np.testing.assert_allclose(slim.predict(tokens(), verbose=0), task.predict(tokens(), verbose=0), atol=1e-5)


@pytest.mark.parametrize("name", ["GPT2CausalLM", "Llama3CausalLM", "Qwen3CausalLM"])
def test_generated_texts_are_those_of_a_loop_over_the_model(name):
    slim = kp.hub.shrink(shaken(TASKS[name]()), **asked(name)).slim
    slim.compile(sampler="greedy")
    prompt = {"token_ids": np.array([[5, 7, 9] + [0] * 7]), "padding_mask": np.array([[1] * 3 + [0] * 7])}
    made = np.asarray(slim.generate(prompt, stop_token_ids=None)["token_ids"])[0].tolist()
    words = [5, 7, 9]
    while len(words) < 10:
        given = {"token_ids": np.array([words]), "padding_mask": np.ones((1, len(words)), "int32")}
        words.append(int(slim.predict(given, verbose=0)[0, -1].argmax()))
    assert made == words


def test_texts_go_through_the_preprocessor_and_the_preset_loads_without_us(tmp_path):
    task, labels = shaken(classifier()), np.array([0, 1, 1, 0] * 8)
    for data in (TEXTS, np.array(TEXTS), [(np.array(TEXTS), labels)]):
        slim, _, report = kp.hub.shrink(task, hidden=16, heads=2, layers=2, data=data)
        assert report.changed["hidden"] == (32, 16) and slim.preprocessor is task.preprocessor
    slim.fit(np.array(TEXTS), labels, batch_size=8, verbose=0)
    expected = slim.predict(np.array(TEXTS[:2]), verbose=0)
    slim.save_to_preset(str(tmp_path / "preset"))
    code = (
        "import sys, numpy as np, keras_hub\n"
        f"task = keras_hub.models.TextClassifier.from_preset({str(tmp_path / 'preset')!r})\n"
        f"print(task.predict(np.array({TEXTS[:2]!r}), verbose=0).tolist())\n"
        "assert 'kerasprune' not in sys.modules\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    np.testing.assert_allclose(np.array(eval(found.splitlines()[-1])), expected, atol=1e-6)
    assert len(WORDS) == slim.backbone.get_config()["vocabulary_size"]


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_a_share_of_the_parameters_is_met_from_below(share):
    task = shaken(TASKS["GPT2CausalLM"]())
    slim = kp.hub.shrink(task, params=share, data=tokens()).slim
    assert 0.6 * share < slim.count_params() / task.count_params() <= share


@pytest.mark.parametrize(
    ("name", "numbers", "said"),
    [
        ("BertTextClassifier", {"heads": 3}, "The nearest is hidden=24, heads=3"),
        ("BertTextClassifier", {"heads": 2}, "which do not grow.*The nearest is hidden=16, heads=2"),
        ("GPT2CausalLM", {"hidden": 24}, "The nearest is hidden=24, heads=3"),
        ("Llama3CausalLM", {"hidden": 16, "heads": 2}, "The nearest is hidden=16, heads=2, kv_heads=1"),
        ("BertTextClassifier", {"kv_heads": 1}, "Expected one of hidden, heads, intermediate, layers"),
        ("BertTextClassifier", {"hidden": 64}, "at most 32"),
        ("BertTextClassifier", {}, "Received: none"),
        ("BertTextClassifier", {"hidden": 16, "params": 0.5}, "Received: hidden, params"),
    ],
)
def test_what_no_config_can_say_is_answered_with_the_nearest(name, numbers, said):
    with pytest.raises(kp.PruneError, match=f"(?s){said}"):
        kp.hub.shrink(TASKS[name](), **numbers)


def test_what_is_not_of_kerashub_or_cannot_be_cut_is_told():
    with pytest.raises(kp.PruneError, match="Take kp.prune"):
        kp.hub.shrink(kp.models.lenet_300_100(), hidden=3)
    adapted = TASKS["GPT2CausalLM"]()
    adapted.backbone.enable_lora(2)
    with pytest.raises(kp.PruneError, match="with LoRA. Shrink the model before that"):
        kp.hub.shrink(adapted, hidden=16, heads=2)
    gemma = keras_hub.models.GemmaBackbone(60, 2, 4, 2, 32, 64, 8)
    with pytest.raises(kp.PruneError, match="reduces over the channels"):
        kp.hub.shrink(gemma, hidden=16)
