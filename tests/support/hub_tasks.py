"""Tasks of KerasHub in tiny configurations: name -> builder, with what each of their configs can say."""

from __future__ import annotations

from typing import Any

import keras_hub

M = keras_hub.models
TEXT = {"vocabulary_size": 60, "num_layers": 3, "num_heads": 4, "hidden_dim": 32, "intermediate_dim": 64}
SHARED = {**TEXT, "num_query_heads": 4, "num_key_value_heads": 2}
del SHARED["num_heads"]
POSITIONS = {"max_sequence_length": 16}
GEMMA = {"head_dim": 8, "use_sliding_window_attention": True, "sliding_window_size": 4}
GEMMA |= dict.fromkeys(("use_post_ffw_norm", "use_post_attention_norm"), True)

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
    "Phi3CausalLM": lambda: M.Phi3CausalLM(M.Phi3Backbone(**SHARED)),
    "GemmaCausalLM": lambda: M.GemmaCausalLM(M.GemmaBackbone(**SHARED, head_dim=8)),
    "Gemma3CausalLM": lambda: M.Gemma3CausalLM(
        preprocessor=None, backbone=M.Gemma3Backbone(**SHARED, **GEMMA, image_size=16)
    ),
}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "red", "blue", "dog", "cat", "house", "sat", "ran"]
WORDS += ["is", "was", "and", "not", "on"]


def asked(name: str) -> dict[str, int]:
    """Returns numbers for every word of a config that the class of a task can say."""
    shared = {"kv_heads": 1} if name.startswith(("Gemma", "Llama", "Mistral", "Phi", "Qwen")) else {}
    return {"hidden": 16, "heads": 2, "intermediate": 24, **shared}


def gemma_2(layers: int) -> Any:
    """Returns a language model in which every other layer has a window, and logits are capped."""
    caps = {"attention_logit_soft_cap": 50, "final_logit_soft_cap": 30}
    return M.GemmaCausalLM(M.GemmaBackbone(**{**SHARED, "num_layers": layers}, **GEMMA, **caps))


def resnet(block: str = "basic_block", before: bool = False, side: int | None = None) -> Any:
    """Returns a backbone with a list of widths."""
    stacks = {"stackwise_num_filters": [64, 48, 32], "stackwise_num_blocks": [1, 2, 1]}
    return M.ResNetBackbone(
        input_conv_filters=[64], input_conv_kernel_sizes=[3], stackwise_num_strides=[1, 2, 2], block_type=block,
        use_pre_activation=before, image_shape=(side, side, 3), **stacks,
    )  # fmt: skip


def detector() -> Any:
    """Returns a RetinaNet with three classes."""
    encoder = resnet("bottleneck_block", side=64)
    backbone = M.RetinaNetBackbone(encoder, min_level=3, max_level=4, use_p5=False, image_shape=(64, 64, 3))
    return M.RetinaNetObjectDetector(backbone, num_classes=3, bounding_box_format="yxyx")


def classifier() -> Any:
    """Returns a text classifier with a preprocessor of its own."""
    tokenizer = M.BertTokenizer(vocabulary=WORDS, lowercase=True)
    preprocessor = M.BertTextClassifierPreprocessor(tokenizer, sequence_length=12)
    backbone = M.BertBackbone(**{**TEXT, **POSITIONS, "vocabulary_size": len(WORDS)})
    return M.BertTextClassifier(backbone, num_classes=2, preprocessor=preprocessor)
