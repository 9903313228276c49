"""The convolutional baselines in PyTorch, with the names of our parameters.

Written with PyTorch's own layers, for comparison only. Signals are [batch, lead, time].
"""

import torch
from torch import nn

LEADS = 12


class ConvNorm(nn.Module):
    """A convolution and batch norm."""

    def __init__(self, inputs, channels, taps, stride=1):
        super().__init__()
        self.conv = _conv(inputs, channels, taps, stride)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, signal):
        return self.norm(self.conv(signal))


def _conv(inputs, channels, taps, stride=1):
    padding = (taps - 1) // 2
    return nn.Conv1d(inputs, channels, taps, stride, padding, bias=False)


class Head(nn.Module):
    """Pooling, batch norm, dropout and linear layers."""

    def __init__(self, channels, width, num_labels):
        super().__init__()
        self.maximum, self.mean = nn.AdaptiveMaxPool1d(1), nn.AdaptiveAvgPool1d(1)
        self.norm1 = nn.BatchNorm1d(2 * channels)
        self.linear1 = nn.Linear(2 * channels, width)
        self.norm2 = nn.BatchNorm1d(width)
        self.linear2 = nn.Linear(width, num_labels)

    def forward(self, features):
        pooled = torch.cat([self.maximum(features), self.mean(features)], dim=1)
        hidden = self.linear1(self.norm1(pooled.flatten(1)))
        return self.linear2(self.norm2(torch.relu(hidden)))


class ResNet1dWang(nn.Module):
    """A stem, three blocks of two convolutions, and the head."""

    def __init__(self, num_labels, head_width=128, width=128):
        super().__init__()
        self.stem = ConvNorm(LEADS, width, 7)
        self.block1 = BasicBlock(width, 1)
        self.block2 = BasicBlock(width, 2)
        self.block3 = BasicBlock(width, 2)
        self.head = Head(width, head_width, num_labels)

    def forward(self, signal):
        features = torch.relu(self.stem(signal))
        return self.head(self.block3(self.block2(self.block1(features))))


class BasicBlock(nn.Module):
    """Convolutions of 5 and 3 taps and a skip."""

    def __init__(self, channels, stride):
        super().__init__()
        self.conv1 = ConvNorm(channels, channels, 5, stride)
        self.conv2 = ConvNorm(channels, channels, 3)
        self.skip = nn.Identity()
        if stride > 1:
            self.skip = ConvNorm(channels, channels, 1, stride)

    def forward(self, inputs):
        hidden = self.conv2(torch.relu(self.conv1(inputs)))
        return torch.relu(hidden + self.skip(inputs))


class XResNet1d(nn.Sequential):
    """A stem, stages of bottleneck blocks, and the head."""

    def __init__(
        self, num_labels, head_width=128, width=64, stage_blocks=(3, 4, 23, 3)
    ):
        super().__init__()
        self.add_module("stem", XResNetStem(width))
        channels = width
        for stage, num_blocks in enumerate(stage_blocks, 1):
            for number in range(1, num_blocks + 1):
                stride = 2 if number == 1 and stage != 1 else 1
                block = BottleneckBlock(channels, width, stride)
                self.add_module(f"stage{stage}_block{number}", block)
                channels = 4 * width
        self.add_module("head", Head(channels, head_width, num_labels))


class XResNetStem(nn.Module):
    """Three convolutions and a max-pool."""

    def __init__(self, width):
        super().__init__()
        self.conv1 = ConvNorm(LEADS, width // 2, 5, 2)
        self.conv2 = ConvNorm(width // 2, width // 2, 5)
        self.conv3 = ConvNorm(width // 2, width, 5)
        self.pool = nn.MaxPool1d(kernel_size=3, stride=2, padding=1)

    def forward(self, signal):
        for conv in (self.conv1, self.conv2, self.conv3):
            signal = torch.relu(conv(signal))
        return self.pool(signal)


class BottleneckBlock(nn.Module):
    """Convolutions of 1, 5 and 1 taps and a skip."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = ConvNorm(inputs, width, 1)
        self.conv2 = ConvNorm(width, width, 5, stride)
        self.conv3 = ConvNorm(width, 4 * width, 1)
        self.pool, self.skip = nn.Identity(), nn.Identity()
        if stride == 2:
            self.pool = nn.AvgPool1d(2, ceil_mode=True)
        if inputs != 4 * width:
            self.skip = ConvNorm(inputs, 4 * width, 1)

    def forward(self, inputs):
        hidden = torch.relu(self.conv2(torch.relu(self.conv1(inputs))))
        return torch.relu(self.conv3(hidden) + self.skip(self.pool(inputs)))


class Inception1d(nn.Module):
    """Two groups of three blocks with a skip each, and the head."""

    def __init__(
        self, num_labels, head_width=128, branch_width=32, bottleneck_width=32
    ):
        super().__init__()
        joined = 4 * branch_width
        for number in range(1, 7):
            inputs = LEADS if number == 1 else joined
            block = InceptionBlock(inputs, branch_width, bottleneck_width)
            self.add_module(f"block{number}", block)
        self.skip1 = ConvNorm(LEADS, joined, 1)
        self.skip2 = ConvNorm(joined, joined, 1)
        self.head = Head(joined, head_width, num_labels)

    def forward(self, signal):
        hidden = self.block3(self.block2(self.block1(signal)))
        middle = torch.relu(hidden + self.skip1(signal))
        hidden = self.block6(self.block5(self.block4(middle)))
        return self.head(torch.relu(hidden + self.skip2(middle)))


class InceptionBlock(nn.Module):
    """Convolutions of 39, 19 and 9 taps and a max-pool side by side."""

    def __init__(self, inputs, width, bottleneck_width):
        super().__init__()
        self.bottleneck = _conv(inputs, bottleneck_width, 1)
        self.conv39 = _conv(bottleneck_width, width, 39)
        self.conv19 = _conv(bottleneck_width, width, 19)
        self.conv9 = _conv(bottleneck_width, width, 9)
        self.pool = nn.MaxPool1d(kernel_size=3, stride=1, padding=1)
        self.pool_conv = _conv(inputs, width, 1)
        self.norm = nn.BatchNorm1d(4 * width)

    def forward(self, inputs):
        narrow = self.bottleneck(inputs)
        branches = [conv(narrow) for conv in (self.conv39, self.conv19, self.conv9)]
        branches.append(self.pool_conv(self.pool(inputs)))
        return torch.relu(self.norm(torch.cat(branches, dim=1)))
