"""Arguments of the public functions that are of the wrong type or value: `kp.PruneError`, never a raw error."""

import keras
import numpy as np
from _cases import Wrong, case, main
from keras import layers

import kerasprune as kp

NAN, INF = float("nan"), float("inf")


def net():
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, name="first")(inputs)
    y = layers.Conv2D(8, 3, padding="same", name="branch")(x)
    x = layers.Add(name="sum")([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(layers.Dense(6, name="hidden")(x)))


def subclassed():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, x):
            return self.dense(x)

    return Own()


MODEL = net()
PLAN = kp.Plan({"first": [0, 1]})
DATA = [(np.ones((4, 6, 6, 3), "float32"), np.zeros(4, "int32"))]
CALLS = {
    "trace_of_nothing": lambda: kp.trace(None),
    "trace_of_a_path": lambda: kp.trace("model.keras"),
    "trace_of_a_layer": lambda: kp.trace(layers.Dense(3)),
    "trace_of_a_graph": lambda: kp.trace(kp.trace(MODEL)),
    "trace_of_a_subclass": lambda: kp.trace(subclassed()),
    "trace_of_unbuilt_sequential": lambda: kp.trace(keras.Sequential([layers.Dense(3)])),
    "trace_of_empty_sequential": lambda: kp.trace(keras.Sequential([])),
    "trace_of_sequential_of_an_input": lambda: kp.trace(keras.Sequential([keras.Input((3,))])),
    "trace_coupling_none": lambda: kp.trace(MODEL, coupling=None),
    "trace_coupling_list": lambda: kp.trace(MODEL, coupling=["tied"]),
    "trace_freeze_number": lambda: kp.trace(MODEL, freeze=3),
    "trace_freeze_none": lambda: kp.trace(MODEL, freeze=None),
    "trace_freeze_numbers": lambda: kp.trace(MODEL, freeze=[3]),
    "trace_freeze_layer": lambda: kp.trace(MODEL, freeze=[MODEL.layers[1]]),
    "trace_freeze_bad_wildcard": lambda: kp.trace(MODEL, freeze=["[first"]),
    "trace_unknown_none": lambda: kp.trace(MODEL, unknown=None),
    "trace_size_text": lambda: kp.trace(MODEL, size="a"),
    "trace_size_zero": lambda: kp.trace(MODEL, size=0),
    "trace_removed_text": lambda: kp.trace(MODEL, removed="sum"),
    "trace_removed_unknown": lambda: kp.trace(MODEL, removed=["nothing"]),
    "group_unknown": lambda: kp.trace(MODEL).group("nothing"),
    "plan_of_nothing": lambda: kp.plan(None),
    "plan_without_target": lambda: kp.plan(MODEL),
    "plan_two_targets": lambda: kp.plan(MODEL, keep=0.5, macs=0.5),
    "plan_criterion_unknown": lambda: kp.plan(MODEL, "l3", keep=0.5),
    "plan_criterion_number": lambda: kp.plan(MODEL, 3, keep=0.5),
    "plan_criterion_none": lambda: kp.plan(MODEL, None, keep=0.5),
    "plan_criterion_dict_without_name": lambda: kp.plan(MODEL, {}, keep=0.5),
    "plan_criterion_dict_of_list": lambda: kp.plan(MODEL, {"name": ["l1"]}, keep=0.5),
    "plan_criterion_argument_unknown": lambda: kp.plan(MODEL, {"name": "l1", "more": 1}, keep=0.5),
    "plan_criterion_class_of_another_kind": lambda: kp.plan(MODEL, dict, keep=0.5),
    "plan_criterion_function": lambda: kp.plan(MODEL, lambda graph: {}, keep=0.5),
    "plan_criterion_needs_data": lambda: kp.plan(MODEL, "taylor", keep=0.5),
    "plan_budget_unknown": lambda: kp.plan(MODEL, budget="even", keep=0.5),
    "plan_budget_number": lambda: kp.plan(MODEL, budget=3, keep=0.5),
    "plan_budget_none": lambda: kp.plan(MODEL, budget=None, keep=0.5),
    "plan_budget_keep_text": lambda: kp.plan(MODEL, budget={"name": "per_stage", "keep": "a"}),
    "plan_budget_keep_none": lambda: kp.plan(MODEL, budget={"name": "per_stage", "keep": None}),
    "plan_budget_keep_numbers_as_keys": lambda: kp.plan(MODEL, budget={"name": "per_stage", "keep": {1: 0.5}}),
    "plan_budget_keep_nested": lambda: kp.plan(MODEL, budget={"name": "per_stage", "keep": [[0.5]]}),
    "plan_min_keep_text": lambda: kp.plan(MODEL, keep=0.5, min_keep="a"),
    "plan_min_keep_nan": lambda: kp.plan(MODEL, keep=0.5, min_keep=NAN),
    "plan_min_keep_zero": lambda: kp.plan(MODEL, keep=0.5, min_keep=0),
    "plan_min_keep_huge": lambda: kp.plan(MODEL, keep=0.5, min_keep=10**9),
    "plan_min_keep_list": lambda: kp.plan(MODEL, keep=0.5, min_keep=[1]),
    "plan_round_to_zero": lambda: kp.plan(MODEL, keep=0.5, round_to=0),
    "plan_round_to_text": lambda: kp.plan(MODEL, keep=0.5, round_to="a"),
    "plan_round_to_fraction": lambda: kp.plan(MODEL, keep=0.5, round_to=1.5),
    "plan_round_to_huge": lambda: kp.plan(MODEL, keep=0.5, round_to=10**9),
    "plan_size_text": lambda: kp.plan(MODEL, keep=0.5, size="a"),
    "plan_size_other": lambda: kp.plan(MODEL, keep=0.5, size=64),
    "plan_seed_text": lambda: kp.plan(MODEL, "random", keep=0.5, seed="a"),
    "plan_seed_negative": lambda: kp.plan(MODEL, "random", keep=0.5, seed=-1),
    "plan_seed_none": lambda: kp.plan(MODEL, "random", keep=0.5, seed=None),
    "plan_data_number": lambda: kp.plan(MODEL, "discrimination", keep=0.5, data=3, loss="mse"),
    "plan_data_empty": lambda: kp.plan(MODEL, "discrimination", keep=0.5, data=[], loss="mse"),
    "plan_loss_unknown": lambda: kp.plan(MODEL, "discrimination", keep=0.5, data=DATA, loss="nothing"),
    "rebuild_of_nothing": lambda: kp.rebuild(None, PLAN),
    "rebuild_without_plan": lambda: kp.rebuild(MODEL, None),
    "rebuild_plan_as_dict": lambda: kp.rebuild(MODEL, {"first": [0]}),
    "rebuild_plan_as_path": lambda: kp.rebuild(MODEL, "plan.json"),
    "rebuild_swapped": lambda: kp.rebuild(PLAN, MODEL),
    "rebuild_of_a_subclass": lambda: kp.rebuild(subclassed(), PLAN),
    "rebuild_of_a_graph": lambda: kp.rebuild(kp.trace(MODEL), PLAN),
    "mask_of_nothing": lambda: kp.mask(None, PLAN),
    "mask_without_plan": lambda: kp.mask(MODEL, None),
    "mask_silence_unknown": lambda: kp.mask(MODEL, PLAN, silence="noise"),
    "mask_silence_none": lambda: kp.mask(MODEL, PLAN, silence=None),
    "reorder_of_nothing": lambda: kp.surgery.reorder(None, {}),
    "reorder_scores_none": lambda: kp.surgery.reorder(MODEL, None),
    "reorder_scores_list": lambda: kp.surgery.reorder(MODEL, [1]),
    "reorder_scores_text": lambda: kp.surgery.reorder(MODEL, {"first": "abcdefgh"}),
    "reorder_scores_short": lambda: kp.surgery.reorder(MODEL, {"first": [1, 2]}),
    "reorder_scores_unknown": lambda: kp.surgery.reorder(MODEL, {"nothing": [1]}),
    "reorder_scores_nan": lambda: kp.surgery.reorder(MODEL, {"first": [NAN] * 8}),
    "reorder_scores_two_axes": lambda: kp.surgery.reorder(MODEL, {"first": np.ones((8, 1))}),
    "cost_of_nothing": lambda: kp.cost(None),
    "cost_plan_as_dict": lambda: kp.cost(MODEL, {"first": [0]}),
    "cost_size_text": lambda: kp.cost(MODEL, size="a"),
    "cost_size_negative": lambda: kp.cost(MODEL, size=-1),
    "cost_size_fraction": lambda: kp.cost(MODEL, size=6.5),
    "report_without_plan": lambda: kp.report(MODEL, None),
    "rule_of_nothing": lambda: kp.rule(None)(lambda g, la, x: x),
    "rule_of_an_instance": lambda: kp.rule(layers.Dense(3))(lambda g, la, x: x),
    "rule_of_a_name": lambda: kp.rule("Dense")(lambda g, la, x: x),
    "rule_unknown_constant": lambda: kp.rule(type("T", (layers.Layer,), {}), constant="nonsense")(lambda g, la, x: x),
    "criteria_get_number": lambda: kp.criteria.get(3),
    "budgets_get_none": lambda: kp.budgets.get(None),
    "callbacks_get_unknown": lambda: kp.callbacks.get("greg3"),
    "callbacks_get_dict": lambda: kp.callbacks.get({"name": "greg1", "schedule": {"every": "a"}}),
    "models_get_unknown": lambda: kp.models.get("resnet"),
}  # fmt: skip
for _what in ("keep", "macs", "params"):
    for _name, _value in {
        "text": "half", "nan": NAN, "infinite": INF, "zero": 0, "negative": -0.5, "more_than_one": 1.5, "true": True, "list": [0.5], "dict": {"first": 0.5},
        "complex": 0.5j, "huge": 10**400, "tiny": 1e-300, "numpy": np.float32(0.5), "array": np.array(0.5), "tensor": keras.ops.convert_to_tensor(0.5),
    }.items():  # fmt: skip
        CALLS[f"plan_{_what}_{_name}"] = lambda w=_what, v=_value: kp.plan(MODEL, **{w: v})
for _callback, _base in {
    "GReg1": {"keep": 0.5}, "GReg2": {"keep": 0.5}, "Polarization": {}, "NetworkSlimming": {"keep": 0.5}, "SoftFilterPruning": {"keep": 0.5},
    "IncReg": {"keep": 0.5}, "IterativeMagnitude": {"rounds": 2}, "GradualMagnitude": {"schedule": kp.schedules.cubic(keep=0.5, end="2ep")},
    "ShrinkRounds": {"dimension": "width"}, "LearningRateRewinding": {"rounds": 2}, "HoldMask": {},
}.items():  # fmt: skip
    for _argument in (
        "plan",
        "keep",
        "every",
        "penalty_step",
        "ceiling",
        "settle",
        "granularity",
        "strength",
        "rounds",
        "keep_per_round",
        "rewind_to",
        "schedule",
        "dimension",
        "begin",
        "sparsity",
        "scope",
        "t",
        "target",
    ):
        for _kind, _value in {
            "text": "nonsense",
            "nan": NAN,
            "list": [1],
            "none": None,
            "negative": -1,
            "object": object(),
        }.items():
            import inspect

            _class = getattr(kp.callbacks, _callback)
            if _argument in inspect.signature(_class.__init__).parameters:
                CALLS[f"{_callback}_{_argument}_{_kind}"] = lambda c=_class, b=_base, a=_argument, v=_value: c(
                    **{**b, a: v}
                )
for _schedule in ("cubic", "linear", "constant", "steps"):
    for _argument in ("keep", "begin", "end", "values"):
        for _kind, _value in {
            "text": "soon",
            "nan": NAN,
            "list": [1],
            "negative": -1,
            "none": None,
            "infinite": INF,
        }.items():
            _function = getattr(kp.schedules, _schedule)
            if _argument in inspect.signature(_function).parameters:
                CALLS[f"schedule_{_schedule}_{_argument}_{_kind}"] = lambda f=_function, a=_argument, v=_value: f(
                    **{
                        **{
                            k: w for k, w in {"keep": 0.5, "end": "2ep"}.items() if k in inspect.signature(f).parameters
                        },
                        a: v,
                    }
                )

for _name, _call in CALLS.items():

    def _run(call=_call):
        call()
        return "accepted"

    _run.__name__ = _name
    case(_run)


@case
def nan_as_a_fraction_is_not_accepted():
    try:
        plan = kp.plan(MODEL, keep=NAN)
    except kp.PruneError:
        raise
    raise Wrong(f"keep=nan gives {plan}")


if __name__ == "__main__":
    main()
