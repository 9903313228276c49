"""Export to ONNX with jax2onnx, for onnxruntime and compatible runtimes.

    session = onnxruntime.InferenceSession("model.onnx")
    labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
    mean, high, low = session.run(None, {"signal_mv": signal_mv})

Opset 18 is the lowest for which jax2onnx writes valid graphs. onnxruntime has supported
it since 2023 (tested with 1.15 and 1.31).
"""

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mrm_jax.interop import exported_model
from mrm_jax.runtime import extras

SUFFIX = ".onnx"
OPSET, IR_VERSION = 18, 8  # both from ONNX 1.13


def require() -> None:
    """Raises ImportError if a package is not installed; says how to install it."""
    _require("jax2onnx", "onnx", "onnxruntime")


def _require(*modules: str) -> None:
    extras.require("ONNX files need the extra `export`", "export", *modules)


def write(path: Path, network: exported_model.Network) -> None:
    """Writes a graph for any batch size, with one JSON value per metadata key.

    Raises:
        ImportError: if jax2onnx is not installed; says how to install it.
        ValueError: if jax2onnx cannot convert an operation of the network, such as the
            Fourier transforms of S4.
    """
    _require("jax2onnx", "onnx")
    import jax2onnx
    import onnx

    _import_plugins()
    function = exported_model.function(network)

    def scores(signal_mv: jax.Array) -> tuple[jax.Array, ...]:
        """Scores a batch and returns the outputs in their order."""
        found = function(signal_mv)
        return tuple(found[name] for name in network.outputs)

    with _converting():
        try:
            graph = jax2onnx.to_onnx(
                scores,
                [("batch", *network.record_shape)],
                model_name="mrm_net",
                opset=OPSET,
                input_names=[exported_model.INPUT],
                output_names=list(network.outputs),
            )
        except NotImplementedError as error:
            raise ValueError(
                f"jax2onnx cannot convert this network to ONNX ({error}). Export it "
                "with `--format stablehlo` or `--format npz`."
            ) from None
    graph.ir_version = IR_VERSION  # the graph uses nothing from later versions
    graph.doc_string = _describe(network)
    graph.producer_name, graph.producer_version = network.metadata["software"].split()
    texts = {name: json.dumps(value) for name, value in network.metadata.items()}
    onnx.helper.set_model_props(graph, texts)
    onnx.save(graph, path)


def load(path: Path) -> tuple[dict[str, Any], exported_model.Score]:
    """Returns a file's metadata and a function that scores signals in millivolts.

    Raises:
        ImportError: if onnxruntime is not installed; says how to install it.
        onnx.checker.ValidationError: if the file does not contain a valid graph.
    """
    _require("onnx", "onnxruntime")
    import onnx
    import onnxruntime

    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    texts = session.get_modelmeta().custom_metadata_map

    def score(signal_mv: np.ndarray) -> dict[str, np.ndarray]:
        """Scores a batch of signals in millivolts."""
        found = session.run(names, {exported_model.INPUT: signal_mv})
        return dict(zip(names, found, strict=True))

    return {name: json.loads(text) for name, text in texts.items()}, score


def _import_plugins() -> None:
    """Imports the converters of jax2onnx, which `to_onnx` would do without jit.

    Their examples compute arrays. That takes seconds longer without jit, and with it
    unless the 70 small programs are in the compilation cache.
    """
    from jax2onnx.plugins import plugin_system

    shortest = "jax_persistent_cache_min_compile_time_secs"
    before = getattr(jax.config, shortest)
    jax.config.update(shortest, 0.0)
    try:
        plugin_system.import_all_plugins()
    finally:
        jax.config.update(shortest, before)


@contextlib.contextmanager
def _converting() -> Iterator[None]:
    """Disables nested jits and silences jax2onnx and onnx_ir during a conversion.

    jax2onnx 0.17 inspects nested jits through a class that JAX 0.12 does not have.
    """
    logger = logging.getLogger("onnx_ir")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), jax.disable_jit():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _describe(network: exported_model.Network) -> str:
    said = network.metadata
    heads = ""
    if len(network.outputs) > 1:
        heads = ": the mean of both branches, the high- and the low-resolution branch"
    samples, leads = network.record_shape
    return (
        f"{exported_model.INPUT}: ECG, float32 [batch, {samples}, {leads}], in mV at "
        f"{said['sampling_rate']} Hz, leads {', '.join(said['leads'])}. The graph "
        f"standardises it.\n{', '.join(network.outputs)}: [batch, "
        f"{len(said['labels'])}], from 0 to 1, one score per label in the metadata"
        f"{heads}.\n"
        f"{said['intended_use']}"
    )
