"""`kp.papers.lottery`: what every training begins and ends with; `kp.surgery.reinitialise`: other weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kerasprune as kp
from kerasprune.papers.lottery_tickets.ablations import shuffle_masks
from kerasprune.papers.lottery_tickets.tickets import CONTROLS

KEEP = (0.5, 0.2)
SCHEDULE = [0.05, 0.02, 0.01]


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(12, name="hidden")(inputs))
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))


class Fit:
    """Trains for real, and notes what each training began with and was asked."""

    def __init__(self) -> None:
        self.began: list[list[np.ndarray]] = []
        self.asked: list[tuple] = []
        self.rates: list[list[float]] = []  # of every epoch of every training

    def __call__(self, model, *, resolution, epochs, seed, initial_epoch):
        self.began.append(model.get_weights())
        self.asked.append((resolution, (initial_epoch, epochs), seed))
        generator = np.random.default_rng(seed)
        model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        rates: list[float] = []
        self.rates.append(rates)
        rate = keras.callbacks.LearningRateScheduler(lambda epoch: rates.append(SCHEDULE[epoch]) or SCHEDULE[epoch])
        x, y = generator.normal(size=(32, 6)), generator.integers(0, 3, 32)
        model.fit(x, y, epochs=epochs, initial_epoch=initial_epoch, callbacks=[rate], verbose=0)
        return len(self.began) / 100


@pytest.fixture(scope="module")
def drawn():
    fit = Fit()
    model = network()
    before = model.get_weights()
    tickets = kp.papers.lottery(
        model, fit, keep=KEEP, epochs=2, rewind_epochs=1, controls=CONTROLS, controls_at=[0.2], seed=3
    )
    assert all(map(np.array_equal, before, model.get_weights()))
    return model, fit, tickets


def by_kind(tickets, kind, keep):
    (found,) = [ticket for ticket in tickets if (ticket.kind, ticket.keep) == (kind, keep)]
    return found


@pytest.mark.thorough
def test_what_is_trained(drawn):
    _, fit, tickets = drawn
    kinds = [("dense", 1.0), ("ticket", 0.5), ("ticket", 0.2), *((name, 0.2) for name in CONTROLS)]
    assert [(ticket.kind, ticket.keep) for ticket in tickets] == kinds
    assert [ticket.accuracy for ticket in tickets] == pytest.approx([n / 100 for n in range(2, 8)])
    # (first epoch, where it ends) of W_0 → W_k, dense, two tickets, and the controls: one schedule of 3 epochs.
    assert [epochs for _, epochs, _ in fit.asked] == [(0, 1), (1, 3), (1, 3), (1, 3), (0, 3), (1, 3), (1, 3)]
    assert fit.rates == [SCHEDULE[first:last] for _, (first, last), _ in fit.asked]
    assert len({seed for *_, seed in fit.asked}) == 7 and {side for side, *_ in fit.asked} == {None}


@pytest.mark.thorough
def test_every_training_begins_with_the_rewound_weights_under_its_masks(drawn):
    model, fit, tickets = drawn
    early, paths = fit.began[1], [variable.path for variable in model.weights]
    assert not np.array_equal(early[0], fit.began[0][0])
    for ticket, began in zip(tickets, fit.began[1:], strict=True):
        same = [
            np.array_equal(np.where(ticket.masks.get(path, True), value, 0), start)
            for path, value, start in zip(paths, early, began, strict=True)
        ]
        kernels = [same[place] for place, path in enumerate(paths) if path.endswith("kernel")]
        assert (not any(kernels)) if ticket.kind == "random_reinit" else all(same), ticket.kind
        for path, end in zip(paths, ticket.weights, strict=True):
            if path in ticket.masks:
                assert (end[~ticket.masks[path]] == 0).all() and (end[ticket.masks[path]] != 0).any()


@pytest.mark.thorough
def test_masks(drawn):
    model, _, tickets = drawn
    paths = [variable.path for variable in model.weights]
    size = 6 * 12 + 12 * 3
    dense, half, fifth = tickets[:3]
    assert dense.kept == 1.0
    for ticket, trained in ((half, dense), (fifth, half)):
        values = {path: value for path, value in zip(paths, trained.weights, strict=True) if path in trained.masks}
        alive = np.concatenate([np.abs(values[p])[trained.masks[p]] for p in values])
        kept = np.concatenate([np.abs(values[p])[ticket.masks[p]] for p in values])
        assert len(kept) == size - int(np.ceil(round((1 - ticket.keep) * size, 9)))
        assert sorted(kept) == sorted(alive)[-len(kept) :]
    reinit, prune, one_shot = (by_kind(tickets, name, 0.2) for name in CONTROLS)
    for path, mask in fifth.masks.items():
        np.testing.assert_array_equal(reinit.masks[path], mask)
        assert prune.masks[path].sum() == mask.sum() and (prune.masks[path] != mask).any()
    values = np.concatenate([np.abs(w).ravel() for p, w in zip(paths, dense.weights, strict=True) if p in dense.masks])
    chosen = np.concatenate([one_shot.masks[path].ravel() for path in paths if path in one_shot.masks])
    assert values[chosen].min() >= values[~chosen].max() and chosen.sum() == len(kept)


def test_shuffled_masks_depend_on_the_seed():
    masks = {"a": np.arange(100).reshape(10, 10) < 30}
    one, same, other = (shuffle_masks(masks, seed=seed)["a"] for seed in (1, 1, 2))
    assert one.sum() == 30 and (one == same).all() and (one != other).any()


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"keep": [0.5, 0.5]}, "descending"),
        ({"keep": []}, "descending"),
        ({"keep": [1.5]}, "descending"),
        ({"controls": ["random_prun"]}, "Did you mean 'random_prune'"),
        ({"epochs": 0}, "epochs=0"),
        ({"rewind_epochs": -1}, "rewind_epochs=-1"),
        ({"controls_at": [0.25]}, "controls_at to be among keep.*0.25"),
        ({"fit": lambda model, **_: None}, "number from fit. Received: None"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(kp.PruneError, match=message):
        kp.papers.lottery(network(), **{"fit": Fit(), "keep": [0.5], "epochs": 1, **arguments})


def test_a_subclassed_model_is_refused_with_a_remedy():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(kp.PruneError, match=r"kp.functional\(model\)"):
        kp.papers.lottery(Subclassed(), Fit(), keep=[0.5], epochs=1)


def test_controls_are_trained_at_the_fractions_as_they_are_written():
    tickets = kp.papers.lottery(
        network(), lambda model, **_: np.nan, keep=[0.8, 0.8**2], epochs=1, controls=["one_shot"], controls_at=[0.64]
    )
    assert [ticket.kind for ticket in tickets] == ["dense", "ticket", "ticket", "one_shot"]


def without_a_first_epoch(model, *, resolution, epochs, seed):
    raise AssertionError("not to be called")


@pytest.mark.parametrize(("fit", "message"), [(without_a_first_epoch, r"write initial_epoch=0"), (None, "fit=None")])
def test_a_fit_that_cannot_begin_in_the_middle_of_its_schedule_is_refused(fit, message):
    with pytest.raises(kp.PruneError, match=message):
        kp.papers.lottery(network(), fit, keep=[0.5], epochs=1)


def test_reinitialised_networks():
    """The same layers and names; kernels drawn by their own initialisers, a function of the seed alone."""
    model = kp.models.resnet_cifar(depth=8, classes=10, input_shape=(16, 16, 3), seed=0)
    before = model.get_weights()
    one, same, other = (kp.surgery.reinitialise(model, seed=seed) for seed in (1, 1, 2))
    assert [v.path for v in one.weights] == [v.path for v in model.weights]
    assert [type(layer) for layer in one.layers] == [type(layer) for layer in model.layers]
    assert all(map(np.array_equal, before, model.get_weights()))
    kernels = [place for place, variable in enumerate(model.weights) if variable.name == "kernel"]
    for place in kernels:
        values = [m.get_weights()[place] for m in (model, one, same, other)]
        assert (values[1] == values[2]).all()
        assert (values[1] != values[0]).any() and (values[1] != values[3]).any()
        assert values[1].std() == pytest.approx(values[0].std(), rel=0.4)
    first, second = (one.get_weights()[place] for place in kernels[1:3])
    assert first.shape == second.shape and (first != second).any()  # no two layers are drawn alike
    with pytest.raises(kp.PruneError, match="seed=-1"):
        kp.surgery.reinitialise(model, seed=-1)
