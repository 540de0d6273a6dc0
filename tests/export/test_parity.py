"""The comparison itself: exact on known differences, and unable to overlook a wrong one."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasprune.data.signature import InputSpec, Signature, identifiers
from kerasprune.errors import PruneError
from kerasprune.export.conversion import in_float32
from kerasprune.export.parity import compare, require_close
from kerasprune.export.samples import Samples, samples_of
from kerasprune.surgery.comparison import relative_error
from kerasprune.surgery.compute_dtype import coarsest_type
from kerasprune.surgery.output_distance import LastAxis, distances, joint_error

LOGITS = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [5.0, 4.0, 9.0], [1.0, 0.0, 0.5]])


def samples(*sizes: int) -> Samples:
    """Batches that say which rows of LOGITS they are."""
    ends = np.cumsum([0, *sizes])
    batches = [[np.arange(a, b)] for a, b in zip(ends[:-1], ends[1:], strict=True)]
    return Samples(lambda: iter(batches), "data")


@pytest.mark.parametrize("sizes", [(4,), (1, 3), (2, 0, 2)])
def test_error_and_agreement_of_known_changes(sizes, monkeypatch):
    monkeypatch.setattr("kerasprune.surgery.output_distance.FEW", 4)
    changed = LOGITS.copy()
    changed[1] = [2.5, 2.0, 1.0]  # another choice
    changed[3] = [0.25, 0.0, 0.125]  # the same
    classes = {"kinds": LastAxis(classes=True)}
    parity = compare(lambda batch: [LOGITS[batch[0]]], lambda batch: [changed[batch[0]]], samples(*sizes), classes)
    (kinds,) = parity.outputs
    assert (parity.max_error, parity.scale, kinds.agreement, parity.samples) == (2.5, 9.0, 0.75, 4)
    assert kinds.balanced == pytest.approx((1 + 0 + 1) / 3) and kinds.rare == {1: (0, 1)}
    error = ((changed - LOGITS) ** 2).sum() / ((LOGITS - LOGITS.mean(0)) ** 2).sum()
    assert kinds.error == pytest.approx(error)


def test_error_is_over_all_outputs_and_agreement_over_those_of_classes(monkeypatch):
    monkeypatch.setattr("kerasprune.surgery.output_distance.FEW", 4)
    parity = compare(
        lambda batch: [LOGITS[batch[0]], LOGITS[batch[0]]],
        lambda batch: [LOGITS[batch[0]], LOGITS[batch[0]] - 7 * (LOGITS[batch[0]] == 9)],
        samples(4),
        {"kinds": LastAxis(classes=True), "boxes": LastAxis()},
    )
    assert (parity.max_error, [each.agreement for each in parity.outputs]) == (7.0, [1.0, None])


def test_a_frequent_class_does_not_hide_a_rare_one():
    """Of 10,000 choices 40 are of a rare class, and a half of them is lost."""
    wanted = np.zeros((10_000, 2))
    wanted[:, 0], wanted[:40, 1] = 1, 2
    made = wanted.copy()
    made[:20, 1] = 0
    (found,) = distances([([wanted], [made])], {"kinds": LastAxis(classes=True)})
    assert found.agreement == 0.998 and found.balanced == 0.75 and not found.rare
    (found,) = distances([([wanted[30:]], [wanted[30:] * [1, 0]])], {"kinds": LastAxis(classes=True)})
    assert found.rare == {1: (0, 10)} and "0 of 10" in str(found)


@pytest.mark.parametrize("number", [1, 19])
def test_the_agreement_of_few_examples_cannot_be_judged(number):
    rows = np.random.default_rng(0).normal(size=(number, 3))
    (found,) = distances([([rows], [-rows])], {"kinds": LastAxis(classes=True)})
    assert found.agreement is found.balanced is None and "cannot be judged" in str(found)
    many = np.repeat(rows[:, None], 20, axis=1)
    (enough,) = distances([([many], [-many])], {"kinds": LastAxis(classes=True)})
    assert enough.agreement is not None  # of positions


@pytest.mark.parametrize("rows", [1, 20])
@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 1e6])
def test_the_error_of_an_output_that_does_not_vary_cannot_be_judged(rows, size):
    wanted = np.full((rows, 2), size, "float32")
    made = wanted + np.float32(1e-7 * size)  # by rounding
    (found,) = found_all = distances([([wanted], [made])], {})
    assert "cannot be judged" in str(found) and not found.useless and found.error < 1e-6
    assert relative_error([[made]], [[wanted]]) == joint_error(found_all) < 1e-6
    (found,) = distances([([wanted], [-wanted])], {})
    assert not found.useless


def test_other_shapes_are_refused_even_where_they_broadcast():
    with pytest.raises(PruneError, match="shapes"):
        compare(lambda batch: [LOGITS], lambda batch: [LOGITS[:1]], samples(4))


@given(error=st.floats(1e-6, 1e3), name=st.sampled_from(["float32", "float16", "bfloat16"]))
def test_tolerance_is_relative_to_the_largest_output(error, name):
    tolerance = {"float32": 1e-3, "float16": 0.1, "bfloat16": 0.3}[name]
    parity = compare(lambda batch: [np.full((1, 2), 10.0)], lambda batch: [np.full((1, 2), 10 + error)], samples(1))
    if parity.max_error <= 10 * tolerance:
        require_close(parity, "float32", name)
    else:
        with pytest.raises(PruneError, match="max_error"):
            require_close(parity, "float32", name)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_in_every_type(wrong):
    parity = compare(lambda batch: [LOGITS], lambda batch: [np.where(LOGITS == 9, wrong, LOGITS)], samples(4))
    with pytest.raises(PruneError, match="finite"):
        require_close(parity, "int8")


def test_zero_outputs_are_close_to_themselves():
    zeros = np.zeros((4, 3))
    require_close(compare(lambda batch: [zeros], lambda batch: [zeros], samples(4)), "float32")


def test_random_samples_are_seeded_and_of_the_right_types():
    specs = (
        InputSpec("a", (4, 3), "float32"),
        InputSpec("b", (2,), "int32"),
        InputSpec("c", (5,), "float16"),
    )
    signature = Signature(specs, [0, 0, 0])
    first, again = (samples_of(signature).first() for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], samples_of(signature, seed=1).first()[0])
    assert [array.dtype.name for array in first] == ["float32", "int32", "float16"]
    assert set(np.unique(first[1])) == {0, 1}


def test_singles_are_all_samples_in_order():
    singles = [single[0].tolist() for single in samples(1, 0, 3).singles()]
    assert singles == [[0], [1], [2], [3]]
    assert len(list(samples(4).singles(3))) == 3


@pytest.mark.thorough
@given(st.lists(st.text(max_size=3)))
def test_identifiers_are_distinct(names):
    found = identifiers(names)
    assert len(set(found)) == len(names)
    assert all(character == "_" or (character.isascii() and character.isalnum()) for character in "".join(found))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float32"])
def test_float32_twin(policy):
    keras.config.set_dtype_policy(policy)
    try:
        inner = keras.Sequential([keras.layers.Dense(3), keras.layers.BatchNormalization()])
        image = keras.Input((2, 4))
        timed = keras.layers.TimeDistributed(keras.layers.Dense(4))(image)
        model = keras.Model(image, inner(timed) + keras.layers.Dense(3, dtype="float32")(image))
    finally:
        keras.config.set_dtype_policy("float32")
    twin = in_float32(model)
    assert coarsest_type(model) == policy.removeprefix("mixed_")
    assert coarsest_type(twin) == "float32"
    assert (twin is model) == (policy == "float32")
    data = np.random.default_rng(0).normal(size=(5, 2, 4))
    whole = [np.asarray(weight, "float32") for weight in model.get_weights()]
    assert all(np.array_equal(a, b) for a, b in zip(whole, twin.get_weights(), strict=True))
    np.testing.assert_allclose(twin(data), np.asarray(model(data), "float32"), atol=0.1)
