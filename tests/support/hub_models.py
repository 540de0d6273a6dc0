"""Backbones and task models of KerasHub in tiny configurations: name -> builder without arguments."""

from __future__ import annotations

import keras_hub

M = keras_hub.models
IMAGE = (64, 64, 3)
MODELS = {
    "ResNetV1": lambda: M.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 96, 128],
        stackwise_num_blocks=[2, 2, 2],
        stackwise_num_strides=[1, 2, 2],
        block_type="basic_block",
        image_shape=IMAGE,
    ),
    "ResNetV2": lambda: M.ResNetBackbone(
        input_conv_filters=[16],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 96, 128],
        stackwise_num_blocks=[2, 2, 2],
        stackwise_num_strides=[1, 2, 2],
        block_type="bottleneck_block",
        use_pre_activation=True,
        image_shape=IMAGE,
    ),
    "ResNetVd": lambda: M.ResNetBackbone(
        input_conv_filters=[16, 16, 32],
        input_conv_kernel_sizes=[3, 3, 3],
        stackwise_num_filters=[64, 96, 128],
        stackwise_num_blocks=[2, 2, 2],
        stackwise_num_strides=[1, 2, 2],
        block_type="bottleneck_block_vd",
        image_shape=IMAGE,
    ),
    "VGG": lambda: M.VGGBackbone(
        stackwise_num_repeats=[1, 1, 2], stackwise_num_filters=[16, 32, 64], image_shape=IMAGE
    ),
    "CSPDarkNet": lambda: M.CSPNetBackbone(
        stem_filters=16,
        stem_kernel_size=3,
        stem_strides=1,
        stackwise_depth=[1, 2, 2],
        stackwise_strides=[2, 2, 2],
        stackwise_num_filters=[16, 32, 64],
        block_type="dark_block",
        stage_type="dark",
        groups=1,
        image_shape=IMAGE,
    ),
    "DenseNet": lambda: M.DenseNetBackbone(stackwise_num_repeats=[2, 3, 2], image_shape=IMAGE),
    "MobileNet(V3)": lambda: M.MobileNetBackbone(
        stackwise_expansion=[[40, 56], [64, 144, 144]],
        stackwise_num_blocks=[2, 3],
        stackwise_num_filters=[[16, 16], [24, 24, 24]],
        stackwise_kernel_size=[[3, 3], [5, 5, 5]],
        stackwise_num_strides=[[2, 1], [2, 1, 1]],
        stackwise_se_ratio=[[None, None], [0.25, 0.25, 0.25]],
        stackwise_activation=[["relu", "relu"], ["hard_swish"] * 3],
        stackwise_padding=[[1, 1], [2, 2, 2]],
        input_num_filters=16,
        output_num_filters=64,
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        last_layer_filter=64,
        squeeze_and_excite=None,
        input_activation="hard_swish",
        output_activation="hard_swish",
        image_shape=IMAGE,
    ),
    "EfficientNet": lambda: M.EfficientNetBackbone(
        width_coefficient=1.0,
        depth_coefficient=1.0,
        stackwise_kernel_sizes=[3, 3, 5],
        stackwise_num_repeats=[1, 2, 2],
        stackwise_input_filters=[32, 16, 24],
        stackwise_output_filters=[16, 24, 40],
        stackwise_expansion_ratios=[1, 6, 6],
        stackwise_strides=[1, 2, 2],
        stackwise_squeeze_and_excite_ratios=[0.25, 0.25, 0.25],
        stackwise_block_types=["v1", "v1", "v1"],
        image_shape=IMAGE,
    ),
    "MiT(SegFormer)": lambda: M.MiTBackbone(
        max_drop_path_rate=0.1,
        layerwise_depths=[1, 1],
        layerwise_num_heads=[1, 2],
        layerwise_sr_ratios=[8, 4],
        layerwise_patch_sizes=[7, 3],
        layerwise_strides=[4, 2],
        num_layers=2,
        hidden_dims=[16, 32],
        image_shape=IMAGE,
    ),
    "ViT": lambda: M.ViTBackbone(
        image_shape=IMAGE, patch_size=16, num_layers=2, num_heads=4, hidden_dim=32, mlp_dim=64
    ),
    "DeiT": lambda: M.DeiTBackbone(
        image_shape=IMAGE, patch_size=16, num_layers=2, num_heads=4, hidden_dim=32, intermediate_dim=64
    ),
    "DINOV2": lambda: M.DINOV2Backbone(
        patch_size=16, num_layers=2, hidden_dim=32, num_heads=4, intermediate_dim=64, image_shape=IMAGE
    ),
    "HGNetV2": lambda: M.HGNetV2Backbone(
        depths=[1, 1, 1, 1],
        embedding_size=16,
        hidden_sizes=[16, 32, 64, 128],
        stem_channels=[3, 8, 16],
        hidden_act="relu",
        use_learnable_affine_block=False,
        stackwise_stage_filters=[
            [16, 8, 32, 1, 3, 3],
            [32, 8, 64, 1, 3, 3],
            [64, 16, 96, 1, 3, 3],
            [96, 16, 128, 1, 3, 3],
        ],
        apply_downsample=[False, True, True, True],
        use_lightweight_conv_block=[False, False, True, True],
        image_shape=IMAGE,
    ),
    "Xception": lambda: M.XceptionBackbone(
        stackwise_conv_filters=[[8, 8], [16, 16]], stackwise_pooling=[True, False], image_shape=IMAGE
    ),
    "BERT": lambda: M.BertBackbone(
        vocabulary_size=100, num_layers=2, num_heads=4, hidden_dim=32, intermediate_dim=64, max_sequence_length=16
    ),
    "RoBERTa": lambda: M.RobertaBackbone(
        vocabulary_size=100, num_layers=2, num_heads=4, hidden_dim=32, intermediate_dim=64, max_sequence_length=16
    ),
    "DistilBERT": lambda: M.DistilBertBackbone(
        vocabulary_size=100, num_layers=2, num_heads=4, hidden_dim=32, intermediate_dim=64, max_sequence_length=16
    ),
    "GPT2": lambda: M.GPT2Backbone(
        vocabulary_size=100, num_layers=2, num_heads=4, hidden_dim=32, intermediate_dim=64, max_sequence_length=16
    ),
    "Gemma": lambda: M.GemmaBackbone(
        vocabulary_size=100,
        num_layers=2,
        num_query_heads=4,
        num_key_value_heads=2,
        hidden_dim=32,
        intermediate_dim=64,
        head_dim=8,
    ),
    "Llama": lambda: M.LlamaBackbone(
        vocabulary_size=100, num_layers=2, num_query_heads=4, num_key_value_heads=2, hidden_dim=32, intermediate_dim=64
    ),
    "Whisper": lambda: M.WhisperBackbone(
        vocabulary_size=100,
        num_layers=2,
        num_heads=4,
        hidden_dim=32,
        intermediate_dim=64,
        num_mels=20,
        max_encoder_sequence_length=16,
        max_decoder_sequence_length=16,
    ),
    "ImageClassifier(ResNet)": lambda: M.ResNetImageClassifier(backbone=MODELS["ResNetV1"](), num_classes=5),
    "DeepLabV3": lambda: M.DeepLabV3ImageSegmenter(
        backbone=M.DeepLabV3Backbone(
            image_encoder=MODELS["ResNetV2"](),
            low_level_feature_key="P2",
            spatial_pyramid_pooling_key="P4",
            upsampling_size=4,
            dilation_rates=[6, 12],
            projection_filters=8,
            spatial_pyramid_pooling_filters=16,
        ),
        num_classes=3,
    ),
    "RetinaNet FPN": lambda: M.RetinaNetBackbone(
        image_encoder=MODELS["ResNetV1"](), min_level=3, max_level=4, use_p5=False, image_shape=IMAGE
    ),
    "SegFormer": lambda: M.SegFormerImageSegmenter(
        backbone=M.SegFormerBackbone(image_encoder=MODELS["MiT(SegFormer)"](), projection_filters=16), num_classes=3
    ),
    "BertTextClassifier": lambda: M.BertTextClassifier(backbone=MODELS["BERT"](), num_classes=2),
}
