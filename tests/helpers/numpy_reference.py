"""A NumPy reference of the network's inference, one loop or sum at a time.

Functions take NumPy maps [batch, time, channel] and the variables of the module they
mirror, from `on_host`; `part` goes down to a submodule.
"""

import jax
import jax.numpy as jnp
import numpy as np


def random_variables(module, *args, seed=0, **kwargs):
    """Returns variables of the module's shapes filled with random numbers.

    Not those of `init`: scales of 1, means of 0 and the like would hide mistakes.
    """
    shapes = jax.eval_shape(
        lambda rng: module.init(rng, *args, **kwargs), jax.random.key(0)
    )
    rng, dtype = np.random.default_rng(seed), jnp.result_type(float)

    def fill(path, like):
        if path[-1].key in ("scale", "var"):
            values = rng.uniform(0.5, 1.5, like.shape)
        else:
            fan_in = np.prod(like.shape[:-1]) if like.ndim > 1 else 4
            values = rng.standard_normal(like.shape) / np.sqrt(fan_in)
        return jax.device_put(np.asarray(values, dtype))

    return jax.tree_util.tree_map_with_path(fill, dict(shapes))


def on_host(variables):
    """Returns {"params": ..., "batch_stats": ...} in NumPy, float64."""
    empty = {"params": {}, "batch_stats": {}}
    return empty | jax.tree.map(np.float64, jax.device_get(variables))


def part(variables, name):
    return {kind: tree.get(name, {}) for kind, tree in variables.items()}


def convolve(signal, kernel, stride=1):
    """Cross-correlation with k // 2 zeros on both sides, tap by tap."""
    taps, pad = len(kernel), len(kernel) // 2
    padded = np.pad(np.float64(signal), ((0, 0), (pad, pad), (0, 0)))
    starts = range(0, padded.shape[1] - taps + 1, stride)
    windows = np.stack([padded[:, start : start + taps] for start in starts], axis=1)
    return np.einsum("btkc,kco->bto", windows, kernel)


def conv(signal, variables, stride=1):
    return convolve(signal, variables["params"]["kernel"], stride)


def grouped_conv(signal, variables):
    """One convolution for every 16 channels."""
    kernel = variables["params"]["kernel"]
    return np.concatenate(
        [
            convolve(signal[..., i : i + 16], kernel[..., i : i + 16])
            for i in range(0, signal.shape[-1], 16)
        ],
        axis=-1,
    )


def batch_norm(values, variables):
    params, running = variables["params"], variables["batch_stats"]
    normal = (values - running["mean"]) / np.sqrt(running["var"] + 1e-5)
    return normal * params["scale"] + params["bias"]


def layer_norm(values, variables):
    params = variables["params"]
    centred = values - values.mean(-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    return normal * params["scale"] + params["bias"]


def relu(values):
    return np.maximum(values, 0)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def max_pool(signal):
    pairs = range(0, signal.shape[1] - 1, 2)
    return np.stack([signal[:, t : t + 2].max(axis=1) for t in pairs], axis=1)


def max_pool_overlapping(signal):
    padded = np.pad(signal, ((0, 0), (1, 1), (0, 0)), constant_values=-np.inf)
    starts = range(padded.shape[1] - 1)
    return np.stack([padded[:, t : t + 2].max(axis=1) for t in starts], axis=1)


def conv_norm(signal, variables, conv_name, norm_name, stride=1):
    hidden = conv(signal, part(variables, conv_name), stride)
    return batch_norm(hidden, part(variables, norm_name))


def residual(signal, variables):
    hidden = relu(conv_norm(signal, variables, "conv1", "norm1"))
    hidden = conv_norm(hidden, variables, "conv2", "norm2")
    if "skip_conv" in variables["params"]:
        signal = conv_norm(signal, variables, "skip_conv", "skip_norm")
    return relu(hidden + signal)


def se(signal, variables):
    hidden = grouped_conv(signal, part(variables, "conv"))
    hidden = relu(batch_norm(hidden, part(variables, "norm")))
    squeezed = relu(hidden.mean(1) @ variables["params"]["squeeze"]["kernel"])
    gate = sigmoid(squeezed @ variables["params"]["excite"]["kernel"])
    return signal + gate[:, None] * hidden


def eca(signal, variables):
    hidden = grouped_conv(signal, part(variables, "conv"))
    hidden = relu(batch_norm(hidden, part(variables, "norm")))
    mean = hidden.mean(1)
    if "eca_conv" in variables["params"]:
        kernel = variables["params"]["eca_conv"]["kernel"][:, 0, 0]
        mean = np.stack([np.correlate(row, kernel, "same") for row in mean])
    return signal + (np.clip(mean + 3, 0, 6) / 6)[:, None] * hidden


def channel_gate(signal, variables):
    def m(pooled):
        for name in ("reduce", "expand"):
            pooled = pooled @ variables["params"][name]["kernel"]
        return batch_norm(pooled, part(variables, "norm"))

    return sigmoid(m(signal.max(1)) + m(signal.mean(1)))


def time_gate(signal, variables):
    rows = np.stack([signal.max(-1), signal.mean(-1)], axis=-1)
    return sigmoid(conv_norm(rows, variables, "conv", "norm")[..., 0])


def attention(signal, variables):
    by_channel = channel_gate(signal, part(variables, "channel_gate"))
    by_time = time_gate(signal, part(variables, "time_gate"))
    both = [by_channel[:, None] * signal, by_time[:, :, None] * signal]
    hidden = layer_norm(np.concatenate(both, axis=-1), part(variables, "norm"))
    hidden = residual(hidden, part(variables, "residual1"))
    hidden = eca(hidden, part(variables, "eca"))
    hidden = se(hidden, part(variables, "se"))
    return residual(hidden, part(variables, "residual2"))


def stem(signal, variables):
    for i in range(1, 5):
        signal = relu(conv_norm(signal, variables, f"conv{i}", f"norm{i}"))
        signal = max_pool_overlapping(signal)
    return signal


def multi_scale(signal, variables, stride):
    """Four convolutions and their mean, as drawn in the paper."""
    kernels = [variables["params"][f"kernel{taps}"] for taps in (3, 13, 23, 33)]
    mean = np.mean([convolve(signal, kernel, stride) for kernel in kernels], axis=0)
    path_a = max_pool(relu(batch_norm(mean, part(variables, "norm_a"))))
    path_b = conv_norm(signal, variables, "conv_b", "norm_b", stride)
    return path_a + max_pool(relu(path_b))


def exchange(high, low, variables):
    up = conv_norm(low, variables, "up_conv", "up_norm")
    down = relu(conv_norm(high, variables, "down_conv", "down_norm", stride=2))
    return high + up.repeat(2, axis=1), low + down


def head(signal, variables):
    hidden = layer_norm(signal.mean(1), part(variables, "head_norm"))
    linear = variables["params"]["head"]
    return hidden @ linear["kernel"] + linear["bias"]


EXTRACTORS = {
    "high": (residual, residual, residual),
    "low": (residual, eca, se, residual, eca, se, residual),
}


def mrm_net(signal, variables):
    """Returns the logits and the attended map of each branch: {name: (logits, map)}."""
    common = stem(signal, part(variables, "stem"))
    maps = {
        "high": multi_scale(common, part(variables, "high_scale"), 1),
        "low": multi_scale(common, part(variables, "low_scale"), 2),
    }
    for name, blocks in EXTRACTORS.items():
        for i, block in enumerate(blocks):
            branch = part(variables, name)
            maps[name] = block(maps[name], part(branch, f"extractor_{i}"))
    if "mutual_exchange" in variables["params"]:
        given = exchange(maps["high"], maps["low"], part(variables, "mutual_exchange"))
        maps = dict(zip(("high", "low"), given, strict=True))
    for name in maps:
        branch = part(variables, name)
        maps[name] = attention(maps[name], part(branch, "attention"))
    return {
        name: (head(maps[name], part(variables, name)), maps[name]) for name in maps
    }
