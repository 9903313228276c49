"""A NumPy reference of the convolutional baselines' inference.

Functions take NumPy maps [batch, time, channel] and variables as in `numpy_reference`.
"""

import numpy as np

from tests.helpers import numpy_reference
from tests.helpers.numpy_reference import batch_norm, part, relu


def conv(signal, variables, stride=1):
    kernel = variables["params"]["kernel"]
    taps_first = kernel.reshape(-1, *kernel.shape[-2:])
    return numpy_reference.convolve(signal, taps_first, stride)


def conv_norm(signal, variables, stride=1):
    hidden = conv(signal, part(variables, "conv"), stride)
    return batch_norm(hidden, part(variables, "norm"))


def max_pool_centred(signal, stride=1):
    times = range(0, signal.shape[1], stride)
    windows = [signal[:, max(t - 1, 0) : t + 2] for t in times]
    return np.stack([window.max(axis=1) for window in windows], axis=1)


def mean_pool(signal):
    times = range(0, signal.shape[1], 2)
    return np.stack([signal[:, t : t + 2].mean(axis=1) for t in times], axis=1)


def head(features, variables):
    hidden = np.concatenate([features.max(axis=1), features.mean(axis=1)], axis=1)
    for number in (1, 2):
        hidden = batch_norm(hidden, part(variables, f"norm{number}"))
        linear = part(variables, f"linear{number}")["params"]
        hidden = hidden @ linear["kernel"] + linear["bias"]
        if number == 1:
            hidden = relu(hidden)
    return hidden


def resnet1d_wang(signal, variables):
    """Returns logits [batch, label]."""
    features = relu(conv_norm(signal, part(variables, "stem")))
    for number, stride in ((1, 1), (2, 2), (3, 2)):
        block = part(variables, f"block{number}")
        hidden = relu(conv_norm(features, part(block, "conv1"), stride))
        hidden = conv_norm(hidden, part(block, "conv2"))
        if stride == 2:
            features = conv_norm(features, part(block, "skip"), stride)
        features = relu(hidden + features)
    return head(features, part(variables, "head"))


def xresnet1d(signal, variables, stage_blocks):
    """Returns logits [batch, label]."""
    features, stem = signal, part(variables, "stem")
    for name, stride in (("conv1", 2), ("conv2", 1), ("conv3", 1)):
        features = relu(conv_norm(features, part(stem, name), stride))
    features = max_pool_centred(features, 2)
    for stage, num_blocks in enumerate(stage_blocks):
        for number in range(num_blocks):
            stride = 2 if stage > 0 and number == 0 else 1
            block = part(variables, f"stage{stage + 1}_block{number + 1}")
            hidden = relu(conv_norm(features, part(block, "conv1")))
            hidden = relu(conv_norm(hidden, part(block, "conv2"), stride))
            hidden = conv_norm(hidden, part(block, "conv3"))
            if stride == 2:
                features = mean_pool(features)
            if stage == number == 0:
                features = conv_norm(features, part(block, "skip"))
            features = relu(hidden + features)
    return head(features, part(variables, "head"))


def inception1d(signal, variables, taps, num_blocks):
    """Returns logits [batch, label]."""
    features = start = signal
    for number in range(1, num_blocks + 1):
        block = part(variables, f"block{number}")
        narrow = conv(features, part(block, "bottleneck"))
        branches = [conv(narrow, part(block, f"conv{count}")) for count in taps]
        branches.append(conv(max_pool_centred(features), part(block, "pool_conv")))
        joined = np.concatenate(branches, axis=2)
        features = relu(batch_norm(joined, part(block, "norm")))
        if number % 3 == 0:
            skip = conv_norm(start, part(variables, f"skip{number // 3}"))
            features = start = relu(features + skip)
    return head(features, part(variables, "head"))
