"""Tasks of KerasHub in tiny configurations: name -> builder, with what each of their configs can say."""

from __future__ import annotations

from typing import Any

import keras_hub

M = keras_hub.models
TEXT = {"vocabulary_size": 60, "num_layers": 3, "num_heads": 4, "hidden_dim": 32, "intermediate_dim": 64}
SHARED = {**TEXT, "num_query_heads": 4, "num_key_value_heads": 2}
del SHARED["num_heads"]
POSITIONS = {"max_sequence_length": 16}

TASKS = {
    "BertTextClassifier": lambda: M.BertTextClassifier(M.BertBackbone(**TEXT, **POSITIONS), num_classes=3),
    "RobertaTextClassifier": lambda: M.RobertaTextClassifier(M.RobertaBackbone(**TEXT, **POSITIONS), num_classes=3),
    "DistilBertTextClassifier": lambda: M.DistilBertTextClassifier(
        M.DistilBertBackbone(**TEXT, **POSITIONS), num_classes=3
    ),
    "ViTImageClassifier": lambda: M.ViTImageClassifier(
        M.ViTBackbone((32, 32, 3), patch_size=16, num_layers=3, num_heads=4, hidden_dim=32, mlp_dim=64), num_classes=3
    ),
    "GPT2CausalLM": lambda: M.GPT2CausalLM(M.GPT2Backbone(**TEXT, **POSITIONS)),
    "OPTCausalLM": lambda: M.OPTCausalLM(M.OPTBackbone(**TEXT, **POSITIONS)),
    "Llama3CausalLM": lambda: M.Llama3CausalLM(M.Llama3Backbone(**SHARED)),
    "MistralCausalLM": lambda: M.MistralCausalLM(M.MistralBackbone(**SHARED, sliding_window=8)),
    "QwenCausalLM": lambda: M.QwenCausalLM(M.QwenBackbone(**SHARED)),
    "Qwen3CausalLM": lambda: M.Qwen3CausalLM(M.Qwen3Backbone(**SHARED, head_dim=8)),
}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "red", "blue", "dog", "cat", "house", "sat", "ran"]
WORDS += ["is", "was", "and", "not", "on"]


def asked(name: str) -> dict[str, int]:
    """Returns numbers for every word of a config that the class of a task can say."""
    shared = {"kv_heads": 1} if name.startswith(("Llama", "Mistral", "Qwen")) else {}
    return {"hidden": 16, "heads": 2, "intermediate": 24, **shared}


def classifier() -> Any:
    """Returns a text classifier with a preprocessor of its own."""
    tokenizer = M.BertTokenizer(vocabulary=WORDS, lowercase=True)
    preprocessor = M.BertTextClassifierPreprocessor(tokenizer, sequence_length=12)
    backbone = M.BertBackbone(**{**TEXT, **POSITIONS, "vocabulary_size": len(WORDS)})
    return M.BertTextClassifier(backbone, num_classes=2, preprocessor=preprocessor)
