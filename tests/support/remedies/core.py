"""Remedies of the core that are followed: of models, graphs, data, criteria, files."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers

import kerasprune as kp
from support.remedies.networks import (
    SEQUENCES,
    TWO,
    Own,
    Written,
    X,
    Y,
    built,
    cut,
    dense,
    endless,
    fit,
    inside,
    linear,
    prune,
    sparse,
    with_cell,
    with_lambda,
    with_own,
    words,
    written_out,
)
from support.remedies.places import Case

CASES = [
    Case(
        "graph/trace.py",
        "Expected layers with a rule",
        lambda: kp.trace(with_own()),
        lambda: kp.trace(with_own(), unknown="freeze"),
    ),
    Case(
        "graph/trace.py",
        "Expected freeze to be names",
        lambda: kp.trace(dense(), freeze=3),
        lambda: kp.trace(dense(), freeze=[dense().layers[1].name, "hid*"]),
    ),
    Case(
        "graph/built_model.py",
        "Read a file with",
        lambda: kp.trace("net.keras"),
        lambda: (dense().save("net.keras"), kp.trace(keras.models.load_model("net.keras"))),
    ),
    Case(
        "graph/built_model.py",
        "Call model.build",
        lambda: kp.trace(keras.Sequential([layers.Dense(3)])),
        lambda: kp.trace(keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.Dense(3)])),
    ),
    Case(
        "graph/built_model.py",
        "Write it out with kp.functional",
        lambda: kp.trace(built(Written())),
        lambda: kp.trace(kp.functional(built(Written()))),
    ),
    Case(
        "graph/plans.py",
        "Read a file with",
        lambda: kp.rebuild(dense(), "plan.json"),
        lambda: (cut().save("plan.json"), kp.rebuild(dense(), kp.Plan.load("plan.json"))),
    ),
    Case("graph/plans.py", "Make a new plan", lambda: kp.rebuild(linear(), cut()), lambda: kp.rebuild(dense(), cut())),
    Case(
        "graph/plans.py",
        "Give another path, or remove",
        lambda: (dense().save("a.keras"), cut().save("a.keras")),
        lambda: cut().save("b.json"),
    ),
    Case(
        "criteria/base.py",
        "Give batches of (inputs, labels)",
        lambda: cut(criterion="taylor_fo"),
        lambda: cut(criterion="taylor_fo", data=[TWO]),
    ),
    Case(
        "criteria/batch_loss.py",
        "Expected a loss to differentiate",
        lambda: cut(dense(None), criterion="taylor_fo", data=TWO),
        lambda: cut(dense(None), criterion="taylor_fo", data=TWO, loss="sparse_categorical_crossentropy"),
    ),
    Case(
        "criteria/labels.py",
        "Give class numbers",
        lambda: cut(criterion="taylor_fo", data=(X, np.eye(3)[Y])),
        lambda: (
            cut(criterion="taylor_fo", data=(X, np.eye(3)[Y]), loss="categorical_crossentropy"),
            cut(criterion="taylor_fo", data=TWO),
        ),
    ),
    Case(
        "criteria/labels.py",
        "Give ",
        lambda: cut(dense("categorical_crossentropy"), criterion="taylor_fo", data=TWO),
        lambda: cut(criterion="taylor_fo", data=TWO, loss="sparse_categorical_crossentropy"),
    ),
    Case(
        "criteria/labels.py",
        "Check the labels, or give",
        lambda: cut(criterion="taylor_fo", data=(X, np.where(Y == 2, 255, Y))),
        lambda: cut(
            criterion="taylor_fo",
            data=(X, np.where(Y == 2, 255, Y)),
            loss=keras.losses.SparseCategoricalCrossentropy(ignore_class=255),
        ),
    ),
    Case(
        "criteria/labels.py",
        "Give integers;",
        lambda: cut(criterion="taylor_fo", data=(X, Y * 0.5)),
        lambda: cut(criterion="taylor_fo", data=TWO),
    ),
    Case(
        "criteria/data_checks.py",
        "Give the array alone",
        lambda: prune(data=(X, {"other": Y}), epochs=1),
        lambda: prune(data=TWO, epochs=1),
    ),
    Case(
        "criteria/snip.py",
        "Check that labels vary",
        lambda: cut(dense(None), criterion="snip", data=TWO, loss=lambda y, p: keras.ops.mean(p * 0)),
        lambda: cut(criterion="snip", data=TWO),
    ),
    Case(
        "criteria/apoz.py",
        "Use another criterion, or freeze",
        lambda: cut(linear(), criterion="apoz", data=X),
        lambda: cut(linear(), criterion="l1"),
    ),
    Case(
        "criteria/mean_loss.py",
        "Build the model with classifier_activation",
        lambda: kp.plan(dense(), {"name": "grasp", "temperature": 200.0}, keep=0.5, data=TWO),
        lambda: kp.plan(
            dense(activation=None),
            {"name": "grasp", "temperature": 200.0},
            keep=0.5,
            data=TWO,
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        ),
    ),
    Case(
        "criteria/hrank.py",
        "Use criterion='apoz'",
        lambda: cut(criterion="hrank", data=X),
        lambda: cut(criterion="apoz", data=X),
    ),
    Case(
        "data/refusals.py", "Scale them.", lambda: prune(data=(X.astype("float64") * 1e300, Y)), lambda: prune(data=TWO)
    ),
    Case(
        "data/refusals.py", "Give arrays, a tf.data.Dataset", lambda: prune(data=iter([TWO])), lambda: prune(data=TWO)
    ),
    Case(
        "data/refusals.py",
        "numpy.asarray(…)",
        lambda: prune(data=(X.tolist(), Y)),
        lambda: prune(data=(np.asarray(X.tolist()), Y)),
    ),
    Case(
        "data/refusals.py",
        "x.toarray()",
        lambda: prune(data=(sparse(), Y)),
        lambda: prune(data=(sparse().toarray(), Y)),
    ),
    Case(
        "data/examples.py",
        "Convert it with astype",
        lambda: prune(data=(X.astype(object), Y)),
        lambda: prune(data=(X.astype(object).astype("float32"), Y)),
    ),
    Case(
        "data/signature.py",
        "Convert them.",
        lambda: prune(data=(X.astype(str), Y)),
        lambda: prune(data=(X.astype(str).astype("float32"), Y)),
    ),
    Case(
        "data/signature.py",
        "Give data=(inputs, labels), or leave it out",
        lambda: prune(data={"numbers": X, "y": Y}),
        lambda: prune(data=({"numbers": X}, Y)),
    ),
    Case(
        "data/batches.py",
        "Give arrays as a tuple",
        lambda: cut(criterion="taylor_fo", data=X),
        lambda: cut(criterion="taylor_fo", data=[TWO]),
    ),
    Case("data/examples.py", "Give data=x.", lambda: prune(data=(X, None, np.ones(64))), lambda: prune(data=X)),
    Case("data/examples.py", "Give labels as data=(x, y)", lambda: prune(data=[X, Y]), lambda: prune(data=(X, Y))),
    Case(
        "data/refusals.py", "Leave .repeat() out", lambda: prune(data=endless()), lambda: prune(data=endless().take(3))
    ),
    Case(
        "rules/wrappers.py",
        "Expected a layer with a rule inside",
        lambda: kp.trace(inside(Own())),
        lambda: kp.trace(inside(Own()), unknown="freeze"),
    ),
    Case(
        "graph/trace.py",
        "Write the model out with kp.functional(model) first, or teach",
        lambda: fit(kp.callbacks.GReg1(keep=0.5, strict=False).compressed(4), with_own()),
        lambda: fit(kp.callbacks.GReg1(keep=0.5, strict=False).compressed(4), written_out()),
    ),
    Case(
        "rules/recurrent.py",
        "Teach a layer of your own",
        lambda: kp.sensitivity(with_cell(), SEQUENCES),
        lambda: kp.sensitivity(kp.trace(with_cell(), unknown="freeze"), SEQUENCES),
        True,
    ),
    Case("graph/rule.py", "Write @kp.rule(MyLayer)", lambda: kp.rule(None), lambda: kp.rule(Own)),
    Case(
        "surgery/compiled.py",
        "or leave compile= out",
        lambda: kp.rebuild(dense(None), cut(), compile="same"),
        lambda: kp.rebuild(dense(None), cut()),
    ),
    Case(
        "surgery/inlining/inline.py",
        "Call it on a batch first",
        lambda: kp.functional(Written()),
        lambda: kp.functional(Written(), inputs=X),
    ),
    Case(
        "criteria/base.py",
        "Use one of those, or write",
        lambda: kp.prune_at_init(dense(), "hrank", data=TWO),
        lambda: kp.prune_at_init(dense(), "snip", data=TWO),
    ),
    Case(
        "criteria/data_checks.py",
        "Give the unknown ones a number",
        lambda: prune(words(), data=np.full((32, 5), 20)),
        lambda: prune(words(), data=np.full((32, 5), 20) % 10),
    ),
    Case(
        "data/signature.py",
        "Give one array for one input",
        lambda: prune(data={"a": X, "b": X}),
        lambda: prune(data={"numbers": X}),
    ),
    Case(
        "surgery/reordering.py",
        "Write {group name: scores}",
        lambda: kp.surgery.reorder(dense(), 3),
        lambda: kp.surgery.reorder(dense(), kp.criteria.L1().score(kp.trace(dense()))),
    ),
    Case(
        "rules/activations.py",
        "Write it with keras.ops, or",
        lambda: kp.trace(with_lambda()),
        lambda: kp.trace(with_lambda(), unknown="freeze"),
    ),
    Case(
        "surgery/costs/cost.py",
        "Write {layer name: number}",
        lambda: kp.plan(dense(), macs=0.5, macs_of=3),
        lambda: kp.plan(kp.trace(with_own(), unknown="freeze"), macs=0.9, macs_of={"own": 64}),
    ),
]

CANNOT_BE_RUN = [
    ("backend/derivatives.py", "Set KERAS_BACKEND before"),  # NumPy as a backend
    ("surgery/compute_dtype.py", "Take TensorFlow, or float32"),  # another backend
    ("errors.py", "Install it with pip"),  # an environment without a package
    ("files/system_errors.py", "Free some room"),  # a full disk, or one of the system's
    ("files/system_errors.py", "Ask for permission"),
    ("files/writing.py", "Free some room"),
]
"""`(file, words)` of remedies for what a test in this process cannot bring about."""
