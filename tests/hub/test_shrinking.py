"""Models of KerasHub made smaller: the same class, exact, with all that it can do."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import combinations

import keras
import numpy as np
import pytest
from keras import ops
from typer.testing import CliRunner

import kerasprune as kp
from kerasprune.cli import app

pytest.importorskip("keras_hub")

import keras_hub  # noqa: E402
from support.hub_tasks import TASKS, WORDS, asked, classifier, detector, gemma_2, resnet  # noqa: E402

from kerasprune.hub.layer_scores import LAYER_SCORES, layer_influence  # noqa: E402
from kerasprune.hub.same_class import Numbered, choose_in_order  # noqa: E402
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
    assert report.params[1] < 0.5 * report.params[0] and re.search("hidden +32 +16", str(report))
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
            each.kernel.assign(np.zeros(each.kernel.shape))  # the layer passes on what goes in
    layers = Numbered.of(task.backbone).layers
    for score in LAYER_SCORES.values():
        found = score(task, tokens(), layers)
        assert found[1] == pytest.approx(0, abs=1e-6) and found[0] > 0.01 < found[2]
    slim, _, report = kp.hub.shrink(task, layers=2, data=tokens())
    assert report.layers == (0, 2) and "Layers kept: 0, 2" in str(report)
    np.testing.assert_allclose(slim.predict(tokens(), verbose=0), task.predict(tokens(), verbose=0), atol=1e-5)


@pytest.mark.parametrize("name", ["GPT2CausalLM", "Llama3CausalLM", "Qwen3CausalLM", "GemmaCausalLM"])
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
@pytest.mark.parametrize("cost", ["params", "macs"])
def test_a_share_of_a_cost_is_met_from_below(share, cost):
    task = shaken(TASKS["GPT2CausalLM"]())
    slim, _, report = kp.hub.shrink(task, **{cost: share})
    kept = {"params": slim.count_params() / task.count_params(), "macs": report.macs}
    assert 0.9 * share < kept[cost] <= share
    with pytest.raises(kp.PruneError, match="at least 0.0"):
        kp.hub.shrink(task, **{cost: 0.001})


def test_layers_stay_where_the_class_computes_alike():
    task = shaken(gemma_2(5))  # windows in every other layer
    worth = np.array([5.0, 1, 2, 4, 3])
    kinds = Numbered.of(task.backbone).kinds
    assert kinds[0] == kinds[2] != kinds[1] == kinds[3]
    assert choose_in_order(worth, kinds, kinds[:3]) == [0, 3, 4]
    slim, _, report = kp.hub.shrink(task, layers=2)
    assert report.layers == (0, 1)  # the last one has a window
    given, gone = tokens(), [each for each in task.backbone._flatten_layers() if each.name in _blocks(2, 3, 4)]
    for layer in gone:
        for each in layer._flatten_layers():
            if each.name.startswith("post_"):
                each.scale.assign(-np.ones(each.scale.shape))  # adds nothing to what goes in
    np.testing.assert_allclose(slim.predict(given, verbose=0), task.predict(given, verbose=0), atol=1e-4)


def _blocks(*numbers: int) -> list[str]:
    return [f"decoder_block_{number}" for number in numbers]


def test_padding_says_nothing_of_layers():
    task, given = shaken(TASKS["GPT2CausalLM"]()), tokens(4)
    layers, words = Numbered.of(task.backbone).layers, given["token_ids"].copy()
    given["padding_mask"][:, 6:] = 0
    words[:, 6:] = 3
    other = {**given, "token_ids": words}
    np.testing.assert_allclose(layer_influence(task, given, layers), layer_influence(task, other, layers), rtol=1e-5)
    slim = kp.hub.shrink(task, layers=1, data=given, depth="error").slim
    assert slim.backbone.get_config()["num_layers"] == 1
    with pytest.raises(kp.PruneError, match="depth"):
        kp.hub.shrink(task, layers=1, depth="width")


def test_items_are_chosen_as_all_choices_show():
    random = np.random.default_rng(0)
    for _ in range(30):
        kinds, number = random.integers(0, 2, 7), int(random.integers(1, 7))
        worth = random.random(7)
        fitting = [
            each for each in combinations(range(7), number) if [kinds[i] for i in each] == kinds[:number].tolist()
        ]
        best = max(fitting, key=lambda each: worth[list(each)].sum())
        assert choose_in_order(worth, kinds, kinds[:number]) == list(best)


@pytest.mark.parametrize("block", ["basic_block", "bottleneck_block", "basic_block_vd"])
def test_stacks_of_a_resnet_become_narrower(block):
    task = keras_hub.models.ResNetImageClassifier(resnet(block), num_classes=3)
    slim, plan, report = kp.hub.shrink(task, filters=[64, 24, 16])
    assert slim.backbone.get_config()["stackwise_num_filters"] == [64, 24, 16] and report.error <= 1e-5
    assert plan.keep and re.search("filters +64, 48, 32 +64, 24, 16", str(report)) and "<td>" in report._repr_html_()
    assert kp.hub.shrink(task.backbone, params=0.7).report.error <= 1e-5


def test_a_detector_stays_one_and_trains_on_its_own_labels():
    dense = detector()
    images = np.random.default_rng(0).random((4, 64, 64, 3)).astype("float32")
    slim, _, report = kp.hub.shrink(dense, filters=[64, 24, 16], data=images)
    assert type(slim) is type(dense) and report.error <= 1e-5 and report.errors[1] <= report.errors[0]
    boxes = np.array([[[8.0, 8, 40, 40], [20, 20, 60, 50]]] * 4)
    losses = {"box_loss": keras.losses.Huber(), "classification_loss": keras.losses.BinaryFocalCrossentropy()}
    slim.compile("adam", **losses, run_eagerly=True)
    labels = {"boxes": boxes, "labels": np.array([[0, 2]] * 4)}
    assert np.isfinite(slim.fit(images, labels, batch_size=2, verbose=0).history["loss"]).all()
    assert slim.predict(images, verbose=0)["boxes"].shape[-1] == 4


def test_what_is_left_is_solved_for_the_dense_outputs():
    task = shaken(TASKS["GPT2CausalLM"]())
    given = tokens(40)
    _, _, report = kp.hub.shrink(task, intermediate=24, data=given)
    assert report.errors[1] < 0.6 * report.errors[0]
    assert kp.hub.shrink(task, intermediate=24, data=given, reconstruct=False).report.errors is None
    assert kp.hub.shrink(task.backbone, hidden=16, heads=2, data=given).report.errors is None  # of other shapes


def test_a_language_model_is_taught_where_its_mask_says():
    task = shaken(TASKS["GPT2CausalLM"]())
    slim, given = kp.hub.shrink(task, intermediate=24).slim, tokens(8)
    mask = np.ones((8, 10), "float32")
    mask[:, 6:] = 0
    student = kp.distil(slim, task, temperature=1.0, weight=1.0)
    student.compile("sgd")
    found = student.evaluate(given, given["token_ids"], sample_weight=mask, verbose=0, return_dict=True)["loss"]
    teacher, own = (np.asarray(ops.log_softmax(each.predict(given, verbose=0))) for each in (task, slim))
    apart = (np.exp(teacher) * (teacher - own)).sum(axis=-1)
    assert found == pytest.approx((apart * mask).sum() / mask.size, rel=1e-4)


def test_a_preset_becomes_smaller_from_the_command_line(tmp_path):
    classifier().save_to_preset(str(tmp_path / "dense"))
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    asked = ["prune", str(tmp_path / "dense"), "--params", "0.5", "--out", str(tmp_path / "slim")]
    made = CliRunner().invoke(app, [*asked, "--data", str(tmp_path / "texts.txt")])
    assert made.exit_code == 0 and "parameters" in made.output
    slim = keras_hub.models.TextClassifier.from_preset(str(tmp_path / "slim"))
    dense = keras_hub.models.TextClassifier.from_preset(str(tmp_path / "dense"))
    assert slim.count_params() <= 0.5 * dense.count_params()
    assert slim.predict(np.array(TEXTS[:2]), verbose=0).shape == (2, 2)
    for more, said in (
        ([], "Choose another path, or pass --overwrite"),
        (["--finetune-epochs", "2", "--overwrite"], "Received: --finetune-epochs"),
        (["--macs", "0.5", "--overwrite"], "one of --params and --macs"),
        (["--data", str(tmp_path), "--overwrite"], "as a .txt file"),
    ):
        refused = CliRunner().invoke(app, [*asked, *more])
        assert refused.exit_code and said in " ".join(refused.output.split())
    assert CliRunner().invoke(app, [*asked, "--overwrite", "--json"]).exit_code == 0


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
        ("BertTextClassifier", {"params": 0.5, "macs": 0.5}, "Received: params, macs"),
        ("GemmaCausalLM", {"heads": 3}, "The nearest is heads=2, kv_heads=1"),
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
    experts = keras_hub.models.MixtralBackbone(60, 1, 4, 32, 64, 2, num_experts=2, top_k=1)
    with pytest.raises(kp.PruneError, match="without experts"):
        kp.hub.shrink(experts, intermediate=32)
    with pytest.raises(kp.PruneError, match="whose config has widths.*Take kp.prune"):
        kp.hub.shrink(keras_hub.models.DenseNetBackbone([1, 1], image_shape=(32, 32, 3)), params=0.5)
    with pytest.raises(kp.PruneError, match="can hold what removed channels add"):
        kp.hub.shrink(shaken(resnet("bottleneck_block", before=True)), filters=[64, 24, 16])
    with pytest.raises(kp.PruneError, match=r"must be 64.*The nearest is filters=\[64, 24, 16\]"):
        kp.hub.shrink(resnet(), filters=[32, 24, 16])
    bloom = keras_hub.models.BloomBackbone(60, 2, 4, 32, 64)
    with pytest.raises(kp.PruneError, match="AlibiBias"):
        kp.hub.shrink(bloom, hidden=16, heads=2)
