"""Whether Keras reads a model back, in safe mode: of its config alone, without writing a file."""

from __future__ import annotations

import keras

from kerasprune._keras import inner_layers


def fault_of_loading(model: keras.Model) -> str | None:
    """Returns why Keras would not load the file of a model in safe mode, or `None`.

    Only models with a `Lambda` or a class of others are tried: the classes of the model count as known.

    Args:
        model: The model.

    Example:
        >>> import keras
        >>> inputs = keras.Input((2,))
        >>> "Lambda" in fault_of_loading(keras.Model(inputs, keras.layers.Lambda(lambda x: 2 * x)(inputs)))
        True
    """
    kinds = {type(layer) for layer in inner_layers(model)}
    of_others = {kind.__name__: kind for kind in kinds if not kind.__module__.startswith("keras.")}
    if not of_others and keras.layers.Lambda not in kinds:
        return None
    try:
        with keras.saving.custom_object_scope(of_others):
            keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model), safe_mode=True)
    except Exception as error:  # noqa: BLE001  the classes may be the user's
        return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
    return None
