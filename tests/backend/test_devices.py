"""The devices that Keras computes on: whether oneDNN trains convolutions there."""

from __future__ import annotations

import platform

import keras
import pytest

from kerasprune.backend import devices


@pytest.mark.parametrize(
    ("backend", "machine", "switch", "cards", "expected"),
    [
        ("tensorflow", "x86_64", None, [], True),
        ("tensorflow", "AMD64", "1", [], True),
        ("tensorflow", "x86_64", "0", [], False),
        ("tensorflow", "aarch64", None, [], False),
        ("tensorflow", "x86_64", None, ["GPU:0"], False),
        ("jax", "x86_64", None, [], False),
        ("torch", "x86_64", None, [], False),
    ],
)
def test_it_is_on_tensorflow_on_x86_without_a_card(monkeypatch, backend, machine, switch, cards, expected):
    tf = pytest.importorskip("tensorflow")
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: cards)
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    if switch is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", switch)
    assert devices.trains_by_onednn() is expected
