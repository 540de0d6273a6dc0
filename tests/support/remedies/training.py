"""Remedies of plans, callbacks, training, repair and steps that are followed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

import kerasprune as kp
from support.remedies.networks import (
    IMAGES,
    TRAIN,
    TWO,
    X,
    Y,
    batches_of,
    conv,
    cut,
    dense,
    fit,
    frozen,
    generator,
    grown,
    half_frozen,
    optimizer_of,
    prune,
    ramped,
    used,
)
from support.remedies.places import Case


def keyword(name: str, value: Any, words: str, **remedy: Any) -> Case:
    """Returns the case of a keyword that `kp.prune` does not take."""
    remedy = {"reconstruct": False, **remedy}
    return Case("steps/keywords.py", words, lambda: prune(**{name: value}), lambda: prune(**remedy), "epochs" in remedy)


CASES = [
    keyword("x", X, "Give data=x or", data=X, reconstruct=True),
    keyword("y", Y, "Give labels with the inputs", data=TWO, reconstruct=True),
    keyword("batch_size", 8, "Give batch=;", **TRAIN, batch=8),
    keyword("sample_weight", np.ones(64), "Give data=(x, y, sample_weight)", data=(X, Y, np.ones(64)), epochs=1),
    keyword(
        "class_weight",
        {0: 1.0, 1: 2.0, 2: 1.0},
        "Give a weight for each example",
        data=(X, Y, np.array([{0: 1.0, 1: 2.0, 2: 1.0}[label] for label in Y])),
        epochs=1,
    ),
    keyword("validation_data", TWO, "Give validation=(x, y), or", **TRAIN, validation=TWO),
    keyword("validation_split", 0.1, "Leave it out: fine-tuning holds out", **TRAIN),
    keyword("validation_batch_size", 8, "Give batch=, which is also", **TRAIN, batch=8, validation=TWO),
    keyword("validation_steps", 1, "Give fewer batches as validation", **TRAIN, validation=batches_of(1)),
    keyword("validation_freq", 2, "Leave it out: every epoch", **TRAIN, validation=TWO),
    keyword("steps_per_epoch", 2, "Give fewer batches as data", data=batches_of(2), epochs=1),
    keyword("initial_epoch", 1, "Give the number of epochs that are left", **TRAIN),
    keyword("shuffle", False, "Leave it out: arrays are shuffled", **TRAIN, seed=1),
    keyword("learning_rate", 0.1, "Give an optimizer=", **TRAIN, optimizer=keras.optimizers.SGD(0.1)),
    keyword("sparsity", 0.7, "Give the fraction that is kept", keep=0.3),
    keyword("importance", "l2", "Give criterion=.", criterion="l2"),
    keyword("ignored_layers", ["last"], "Give their names as freeze", freeze=["last"]),
    keyword("min_keep", 2, "Give …={", plan={"min_keep": 2}),
    keyword("resolution", 8, "Give size=.", size=None),
    keyword("example_inputs", X, "Leave it out: the model knows"),
    Case("callbacks/_growing.py", "Use callback.masks", lambda: grown("weight").plan, lambda: grown("weight").masks),
    Case("callbacks/_growing.py", "Use callback.plan", lambda: grown("filter").masks, lambda: grown("filter").plan),
    Case("training/masks.py", "granularity='filter'", lambda: ramped("weight").plan, lambda: ramped("weight").masks),
    Case(
        "training/callback.py",
        "Call model.fit(",
        lambda: kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end=3)).masks,
        lambda: ramped("weight").masks,
    ),
    Case(
        "training/masks.py",
        "Take 'l1', or choose",
        lambda: fit(kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end=3), criterion="taylor_fo")),
        lambda: ramped("weight"),
    ),
    Case(
        "callbacks/gradual_magnitude.py",
        "The schedule ends after",
        lambda: fit(kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end=500), strict=False)),
        lambda: fit(kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end=3), every=1)),
    ),
    Case(
        "callbacks/soft_filter_pruning.py",
        "Freeze less",
        lambda: fit(kp.callbacks.SoftFilterPruning(0.5, freeze=["*"])),
        lambda: fit(kp.callbacks.SoftFilterPruning(0.5)),
    ),
    Case(
        "callbacks/freeze_kept.py",
        "Raise fraction",
        lambda: fit(kp.callbacks.FreezeKept(0.01)),
        lambda: fit(kp.callbacks.FreezeKept(0.5)),
    ),
    Case(
        "callbacks/_iterative.py",
        "Take fewer rounds",
        lambda: fit(kp.callbacks.IterativeMagnitude(30, 0.1)),
        lambda: fit(kp.callbacks.IterativeMagnitude(1, 0.5)),
    ),
    Case(
        "callbacks/resume.py",
        "Give another folder",
        lambda: (fit(kp.callbacks.Resume("run")), fit(kp.callbacks.Resume("run"), conv(), (IMAGES, Y))),
        lambda: fit(kp.callbacks.Resume("other"), conv(), (IMAGES, Y)),
    ),
    Case(
        "callbacks/sparsity.py",
        "Give another path",
        lambda: (Path("a.csv").write_text("x\n1\n"), fit(kp.callbacks.Sparsity("a.csv"))),
        lambda: fit(kp.callbacks.Sparsity("b.csv")),
    ),
    Case(
        "training/sparsity/mask_checks.py",
        "Set layer.trainable",
        lambda: fit(kp.callbacks.GradualMagnitude(kp.schedules.cubic(0.5, end=3)), frozen()),
        lambda: ramped("weight"),
    ),
    Case(
        "training/bn_scales.py",
        "Expected a model whose channels are scaled",
        lambda: fit(kp.callbacks.NetworkSlimming()),
        lambda: fit(kp.callbacks.GReg1(keep=0.5).compressed(20), optimizer_of(dense()), epochs=10),
    ),
    Case("steps/settings.py", "Leave one of them out", lambda: prune(plan=cut()), lambda: prune(plan=cut(), keep=None)),
    Case(
        "steps/settings.py",
        "Leave distil=True",
        lambda: prune(data=X, epochs=1, distil=False),
        lambda: prune(data=X, epochs=1),
    ),
    Case(
        "steps/settings.py",
        "Leave its weight out",
        lambda: prune(data=X, epochs=1, distil={"weight": 0.5}),
        lambda: prune(data=X, epochs=1, distil={}),
    ),
    Case(
        "steps/settings.py",
        "Compile it, or give loss",
        lambda: prune(dense(None), data=TWO, epochs=1),
        lambda: prune(dense(None), data=TWO, epochs=1, loss="sparse_categorical_crossentropy"),
        True,
    ),
    Case(
        "steps/settings.py",
        "Give a Keras optimizer",
        lambda: prune(data=TWO, epochs=1, optimizer="none"),
        lambda: prune(data=TWO, epochs=1, optimizer="adam"),
        True,
    ),
    Case(
        "steps/settings.py",
        "Make a new one",
        lambda: prune(data=TWO, epochs=1, optimizer=used()),
        lambda: prune(data=TWO, epochs=1),
    ),
    Case(
        "steps/finetune.py",
        "or do not fine-tune",
        lambda: prune(frozen(), data=TWO, epochs=1),
        lambda: prune(frozen(), data=TWO),
    ),
    Case("planning/make_plan.py", "Give data=images", lambda: cut(budget="sensitivity"), lambda: cut(budget="uniform")),
    Case(
        "steps/folding/fold.py",
        "Give data=kp.synthesise",
        lambda: kp.fold(conv(), 0.5, repair="examples"),
        lambda: kp.fold(conv(), 0.5, repair="examples", data=IMAGES),
    ),
    Case(
        "steps/folding/fold.py",
        "Leave data out",
        lambda: kp.fold(conv(), 0.5, data=IMAGES),
        lambda: kp.fold(conv(), 0.5),
    ),
    Case(
        "training/distillation/student.py",
        "Give student.student",
        lambda: kp.distil(kp.distil(dense(), dense()), dense()),
        lambda: kp.distil(kp.distil(dense(), dense()).student, dense()),
    ),
    Case(
        "training/distillation/student.py",
        "Call student.save(path)",
        lambda: kp.distil(dense(), dense()).get_config(),
        lambda: kp.distil(dense(), dense()).save("student.keras"),
    ),
    Case(
        "training/distillation/student.py",
        "Give the dense model that slim",
        lambda: kp.distil(*[dense()] * 2),
        lambda: kp.distil(kp.rebuild(dense(), cut()), dense()),
    ),
    Case(
        "repair/synthesis/stored_moments.py",
        "Take method='noise'",
        lambda: kp.synthesise(dense(), 8, verbose=0),
        lambda: kp.synthesise(dense(), 8, method="noise", verbose=0),
    ),
    Case(
        "planning/make_plan.py",
        "channels are kept instead of",
        lambda: kp.plan(dense(), keep=0.2, min_keep=6),
        lambda: kp.plan(dense(), keep=0.2),
    ),
    Case(
        "training/masks.py",
        "Use mask.astype(bool)",
        lambda: fit(kp.callbacks.HoldMask({"hidden/kernel": np.ones((6, 8))})),
        lambda: fit(kp.callbacks.HoldMask({"hidden/kernel": np.ones((6, 8)).astype(bool)})),
    ),
    Case(
        "training/distillation/block_features.py",
        "Leave features out",
        lambda: kp.distil(kp.rebuild(dense(), cut()), dense(), features=0.5, plan=cut()),
        lambda: kp.distil(kp.rebuild(dense(), cut()), dense(), plan=cut()),
    ),
    Case(
        "steps/finetune.py",
        "Set layer.trainable = True for all",
        lambda: prune(half_frozen(), data=TWO, epochs=1),
        lambda: prune(data=TWO, epochs=1),
        True,
    ),
    Case(
        "repair/reconstruction/solving.py",
        "Check the weights, and that",
        lambda: kp.reconstruct(kp.rebuild(dense(), cut()), dense(), cut(), np.full_like(X, 3e38)),
        lambda: kp.reconstruct(kp.rebuild(dense(), cut()), dense(), cut(), X),
    ),
    Case(
        "planning/budgets/trials.py",
        "Give a few hundred",
        lambda: cut(budget="sensitivity", data=X[:2]),
        lambda: cut(budget="sensitivity", data=X),
        True,
    ),
    Case(
        "training/mask_updates.py",
        "Give fit steps_per_epoch=, or",
        lambda: fit(kp.callbacks.GradualMagnitude(lambda step: 0.5), data=generator()),
        lambda: fit(kp.callbacks.GradualMagnitude(lambda step: 0.5), data=generator(), steps_per_epoch=2),
    ),
]

CANNOT_BE_RUN = [
    ("callbacks/resume.py", "Leave it out: epochs are saved"),
]
"""`(file, words)` of remedies for what a test in this process cannot bring about."""
