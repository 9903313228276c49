"""Blocks of MRM-Net in PyTorch, on feature maps [batch, channel, time]."""

import math

import torch
from torch import nn
from torch.nn import functional

GROUP_WIDTH = 16


class Residual(nn.Module):
    """Residual block with two 3-tap convolutions."""

    def __init__(self, inputs: int, channels: int):
        """Builds the layers with random weights."""
        super().__init__()
        self.conv1 = nn.Conv1d(inputs, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm1d(channels)
        self.conv2 = nn.Conv1d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm1d(channels)
        self.downsample = None
        if inputs != channels:
            self.downsample = nn.Sequential(
                nn.Conv1d(inputs, channels, 1, bias=False), nn.BatchNorm1d(channels)
            )

    def forward(self, inputs):
        """Returns a feature map of the same length."""
        hidden = functional.relu(self.bn1(self.conv1(inputs)))
        hidden = self.bn2(self.conv2(hidden))
        skip = inputs if self.downsample is None else self.downsample(inputs)
        return functional.relu(hidden + skip)


class Grouped(nn.Module):
    """Base class of SE and ECA: a gated grouped convolution with a skip connection."""

    def __init__(self, channels: int, taps: int):
        """Builds the convolution and its batch norm."""
        super().__init__()
        groups = channels // GROUP_WIDTH
        self.group_conv3x3 = nn.Conv1d(
            channels, channels, taps, padding=taps // 2, groups=groups, bias=False
        )
        self.bn1 = nn.BatchNorm1d(channels)

    def gate(self, pooled):
        """Computes the gate [batch, channel] from the means over time."""
        raise NotImplementedError

    def forward(self, inputs):
        """Returns a feature map of the same shape."""
        hidden = functional.relu(self.bn1(self.group_conv3x3(inputs)))
        return inputs + self.gate(hidden.mean(2))[..., None] * hidden


class SqueezeExcite(nn.Module):
    """The two linear layers of SE, under the checkpoints' name se.fc."""

    def __init__(self, channels: int):
        """Builds the two linear layers."""
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // 4, bias=False),
            nn.ReLU(),
            nn.Linear(channels // 4, channels, bias=False),
            nn.Sigmoid(),
        )


class SE(Grouped):
    """Squeeze-and-excitation block."""

    def __init__(self, channels: int):
        """Builds the layers."""
        super().__init__(channels, 3)
        self.se = SqueezeExcite(channels)

    def gate(self, pooled):
        """Returns the gate [batch, channel], in (0, 1)."""
        return self.se.fc(pooled)


class ECA(Grouped):
    """ECA block, gated by the mean or by the ECA paper's convolution over channels."""

    def __init__(self, channels: int, eca_conv: bool):
        """Builds the layers."""
        super().__init__(channels, 7)
        self.eca_conv = None
        if eca_conv:
            taps = int(abs((math.log2(channels) + 1) / 2))
            taps += 1 - taps % 2
            self.eca_conv = nn.Conv1d(1, 1, taps, padding=taps // 2, bias=False)

    def gate(self, pooled):
        """Returns the gate [batch, channel], from 0 to 1."""
        if self.eca_conv is not None:
            pooled = self.eca_conv(pooled[:, None])[:, 0]
        # functional.hardsigmoid rounds the 1/6 in its gradient to float32 in any dtype.
        return functional.relu6(pooled + 3) / 6


class MultiScale(nn.Module):
    """Multi-scale block: four parallel convolutions (path A) and one (path B)."""

    def __init__(self, inputs: int, channels: int, stride: int, dropout: float):
        """Builds the layers."""
        super().__init__()

        def conv(taps):
            """Builds a convolution with the given number of taps."""
            return nn.Conv1d(
                inputs, channels, taps, stride, padding=taps // 2, bias=False
            )

        self.conv1, self.conv2 = conv(3), conv(13)
        self.conv3, self.conv4 = conv(23), conv(33)
        self.bn = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(dropout)
        self.conv_block = nn.Sequential(
            conv(3), nn.BatchNorm1d(channels), nn.ReLU(), nn.MaxPool1d(2)
        )

    def forward(self, inputs):
        """Returns [batch, channels, time // (2 · stride)]."""
        scales = (self.conv1, self.conv2, self.conv3, self.conv4)
        mean = torch.stack([conv(inputs) for conv in scales]).mean(0)
        path_a = functional.max_pool1d(functional.relu(self.bn(mean)), 2)
        return self.dropout(path_a) + self.conv_block(inputs)
