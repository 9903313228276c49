"""The golden state dict placed into our variables; their names are the authors'."""

import jax
import jax.numpy as jnp

RESIDUAL = {
    "conv1": "conv1",
    "norm1": "bn1",
    "conv2": "conv2",
    "norm2": "bn2",
    "skip_conv": "downsample.0",
    "skip_norm": "downsample.1",
}
ECA = {"conv": "group_conv3x3", "norm": "bn1"}
SE = ECA | {"squeeze": "se.fc.0", "excite": "se.fc.2"}
GATES = {
    "channel_gate/reduce": "conv_block3.0",
    "channel_gate/expand": "conv_block3.1",
    "channel_gate/norm": "conv_block3.2",
    "time_gate/conv": "conv_block2.0",
    "time_gate/norm": "conv_block2.1",
    "norm": "norm1",
}
FUSED = {"residual1": RESIDUAL, "eca": ECA, "se": SE, "residual2": RESIDUAL}
EXTRACTORS = {
    "high": (RESIDUAL, RESIDUAL, RESIDUAL),
    "low": (RESIDUAL, ECA, SE, RESIDUAL, ECA, SE, RESIDUAL),
}
LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
    "kernel3": "conv1.weight",
    "kernel13": "conv2.weight",
    "kernel23": "conv3.weight",
    "kernel33": "conv4.weight",
}


def place(state_dict, model):
    """Returns the model's variables filled from a state dict of NumPy arrays.

    PyTorch stores [out, in, tap] and [out, in]: ours are these, transposed.
    """
    signal = jnp.zeros((1, model.num_samples, 12))
    shapes = jax.eval_shape(
        lambda rng: model.init(rng, signal, train=False), jax.random.key(0)
    )
    return jax.tree_util.tree_map_with_path(
        lambda path, like: jnp.asarray(
            # The channel gate's convolutions of one tap are our linear layers.
            state_dict[name(path)].T.reshape(like.shape),
            like.dtype,
        ),
        dict(shapes),
    )


def name(path):
    """Returns the state dict's name of one of our leaves."""
    _, *module, leaf = (part.key for part in path)
    return f"{MODULES['/'.join(module)]}.{LEAVES[leaf]}"


def _under(ours, theirs, table):
    return {f"{ours}/{our}": f"{theirs}.{their}" for our, their in table.items()}


def _modules():
    names = {}
    for i in range(1, 5):
        names[f"stem/conv{i}"] = f"BaseBlock.conv_block{i}.0"
        names[f"stem/norm{i}"] = f"BaseBlock.conv_block{i}.1"
    for i, branch in enumerate(("high", "low"), 1):
        scale = f"BaseBlock.BaseScale{i}"
        names[f"{branch}_scale"] = scale
        names[f"{branch}_scale/norm_a"] = f"{scale}.bn"
        names[f"{branch}_scale/conv_b"] = f"{scale}.conv_block.0"
        names[f"{branch}_scale/norm_b"] = f"{scale}.conv_block.1"
        for j, table in enumerate(EXTRACTORS[branch]):
            names |= _under(f"{branch}/extractor_{j}", f"BaseBlock.layer{i}.{j}", table)
        fusion = f"Fusion_block{i}"
        names |= _under(f"{branch}/attention", fusion, GATES)
        for j, (block, table) in enumerate(FUSED.items()):
            names |= _under(
                f"{branch}/attention/{block}", f"{fusion}.layer1.{j}", table
            )
        names[f"{branch}/head_norm"] = f"conv_norm{i}"
        names[f"{branch}/head"] = f"fc{i}"
    return names


MODULES = _modules()
