"""The registry of ready-made models."""

from __future__ import annotations

from kerasprune.registry import Registry

models = Registry(
    "model",
    {
        "alexnet_cifar": "kerasprune.models.cifar_alexnet:alexnet_cifar",
        "densenet121": "kerasprune.models.keras_applications:densenet121",
        "densenet_cifar": "kerasprune.models.cifar_densenet:densenet_cifar",
        "efficientnet_b0": "kerasprune.models.keras_applications:efficientnet_b0",
        "fcos": "kerasprune.models.detector:fcos",
        "gru_rows": "kerasprune.models.recurrent:gru_rows",
        "lenet_300_100": "kerasprune.models.lenet:lenet_300_100",
        "lenet_5": "kerasprune.models.lenet:lenet_5",
        "lstm_rows": "kerasprune.models.recurrent:lstm_rows",
        "mobilenet_v2": "kerasprune.models.mobilenet:mobilenet_v2",
        "resnet_cifar": "kerasprune.models.cifar_resnet:resnet_cifar",
        "resnet_imagenet": "kerasprune.models.imagenet_resnet:resnet_imagenet",
        "unet": "kerasprune.models.u_net:unet",
        "vgg_cifar": "kerasprune.models.cifar_vgg:vgg_cifar",
        "vgg_snip": "kerasprune.models.cifar_vgg:vgg_snip",
        "vit": "kerasprune.models.vision_transformer:vit",
        "wide_resnet": "kerasprune.models.cifar_wide_resnet:wide_resnet",
    },
    base="keras:Model",
)
