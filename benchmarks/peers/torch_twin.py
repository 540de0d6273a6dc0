"""The torch twin of `kerasprune.models.resnet_cifar`: the same layers under the same names, with the same weights.

Where a stage begins, the identity shortcut puts zero channels around the old ones. Torch-Pruning takes `F.pad` for an
elementwise operation and would tie the wrong channels, so the zeros come from two convolutions whose kernels are zero
and stay zero: a concatenation, which it knows. They add nothing to any importance (0 to each channel's sum).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

CHANNELS = (16, 32, 64)


class Block(nn.Module):
    """One residual block; `extra` zero channels are put around the shortcut, half before and half after."""

    def __init__(self, before: int, channels: int, strides: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, strides, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.strides = strides
        extra = channels - before
        self.zeros = nn.ModuleList(nn.Conv2d(before, n, 1, bias=False) for n in (extra // 2, extra - extra // 2) if n)
        for layer in self.zeros:
            nn.init.zeros_(layer.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.strides > 1:
            x = nn.functional.max_pool2d(x, 1, self.strides)
            first, last = self.zeros
            x = torch.cat([first(x), x, last(x)], 1)
        return torch.relu(x + branch)


class ResNet(nn.Module):
    """A CIFAR residual network with identity shortcuts, on images of shape `(batch, 3, height, width)`."""

    def __init__(self, depth: int, classes: int) -> None:
        super().__init__()
        self.stem_conv = nn.Conv2d(3, CHANNELS[0], 3, padding=1, bias=False)
        self.stem_bn = nn.BatchNorm2d(CHANNELS[0])
        before, blocks = CHANNELS[0], {}
        for stage, channels in enumerate(CHANNELS, start=1):
            for number in range(1, (depth - 2) // 6 + 1):
                strides = 2 if stage > 1 and number == 1 else 1
                blocks[f"stage{stage}_block{number}"] = Block(before, channels, strides)
                before = channels
        self.blocks = nn.ModuleDict(blocks)
        self.logits = nn.Linear(before, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem_bn(self.stem_conv(x)))
        for block in self.blocks.values():
            x = block(x)
        return self.logits(x.mean((2, 3)))

    def named(self) -> dict[str, nn.Module]:
        """Returns the layers by their names in Keras."""
        found = {"stem_conv": self.stem_conv, "stem_bn": self.stem_bn, "logits": self.logits}
        for name, block in self.blocks.items():
            found |= {f"{name}_{part}": getattr(block, part) for part in ("conv1", "bn1", "conv2", "bn2")}
        return found

    def fixed(self) -> list[nn.Parameter]:
        """Returns the kernels that only make the zeros of the shortcuts; no optimizer may move them."""
        return [layer.weight for block in self.blocks.values() for layer in block.zeros]


def read(twin: ResNet, weights: Mapping[str, np.ndarray]) -> None:
    """Gives the twin the weights `{"layer/variable": array}` of the Keras model."""
    with torch.no_grad():
        for name, layer in twin.named().items():
            for parameter, variable in _pairs(layer):
                array = weights[f"{name}/{variable}"]
                parameter.copy_(torch.from_numpy(_turned(array, layer, to_torch=True).copy()))


def write(twin: ResNet) -> dict[str, np.ndarray]:
    """Returns the weights of the twin as `{"layer/variable": array}` of the Keras model."""
    return {
        f"{name}/{variable}": _turned(parameter.detach().numpy(), layer, to_torch=False).copy()
        for name, layer in twin.named().items()
        for parameter, variable in _pairs(layer)
    }


def _pairs(layer: nn.Module) -> list[tuple[torch.Tensor, str]]:
    if isinstance(layer, nn.BatchNorm2d):
        tensors = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
        return list(zip(tensors, ("gamma", "beta", "moving_mean", "moving_variance"), strict=True))
    return [(layer.weight, "kernel")] + ([(layer.bias, "bias")] if layer.bias is not None else [])


def _turned(array: np.ndarray, layer: nn.Module, *, to_torch: bool) -> np.ndarray:
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1) if to_torch else array.transpose(2, 3, 1, 0)
    return array.T if isinstance(layer, nn.Linear) else array
