"""The network as ONNX, by jax2onnx: onnxruntime and its kin run it.

    session = onnxruntime.InferenceSession("model.onnx")
    labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
    mean, high, low = session.run(None, {"signal_mv": signal_mv})

Opset 18 is the lowest in which jax2onnx writes valid graphs; onnxruntime reads it since
2023 (tried: 1.15 and 1.31).
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

SUFFIX = ".onnx"
OPSET, IR_VERSION = 18, 8  # both of ONNX 1.13
INSTALL = (
    "ONNX files need jax2onnx and onnxruntime; in a clone of the repository: "
    "pip install -c constraints.txt -e '.[export]'"
)


def write(path: Path, network: exported_model.Network) -> None:
    """Writes the graph for any batch, its metadata as JSON values by name.

    Raises:
        ImportError: without jax2onnx; says how to install it.
    """
    try:
        import jax2onnx
        import onnx
    except ImportError:
        raise ImportError(INSTALL) from None
    function = exported_model.function(network)

    def scores(signal_mv: jax.Array) -> tuple[jax.Array, ...]:
        """Returns the scores in the order of their names."""
        found = function(signal_mv)
        return tuple(found[name] for name in exported_model.OUTPUTS)

    with _converting():
        graph = jax2onnx.to_onnx(
            scores,
            [("batch", *network.record_shape)],
            model_name="mrm_net",
            opset=OPSET,
            input_names=[exported_model.INPUT],
            output_names=list(exported_model.OUTPUTS),
        )
    graph.ir_version = IR_VERSION  # nothing of a later one is in it
    graph.doc_string = _describe(network)
    graph.producer_name, graph.producer_version = network.metadata["software"].split()
    texts = {name: json.dumps(value) for name, value in network.metadata.items()}
    onnx.helper.set_model_props(graph, texts)
    onnx.save(graph, path)


def load(path: Path) -> tuple[dict[str, Any], exported_model.Score]:
    """Returns the metadata of a file and its scores as a function of millivolts.

    Raises:
        ImportError: without onnxruntime; says how to install it.
        onnx.checker.ValidationError: if it is no valid graph.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError:
        raise ImportError(INSTALL) from None
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    texts = session.get_modelmeta().custom_metadata_map

    def score(signal_mv: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the scores of a batch."""
        found = session.run(
            list(exported_model.OUTPUTS), {exported_model.INPUT: signal_mv}
        )
        return dict(zip(exported_model.OUTPUTS, found, strict=True))

    return {name: json.loads(text) for name, text in texts.items()}, score


@contextlib.contextmanager
def _converting() -> Iterator[None]:
    """Converts without nested jits, and without jax2onnx's and onnx_ir's many words.

    jax2onnx 0.17 looks at nested jits through a class that JAX 0.12 does not have.
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
    samples, leads = network.record_shape
    return (
        f"{exported_model.INPUT}: ECG, float32 [batch, {samples}, {leads}], in mV at "
        f"{said['sampling_rate']} Hz, leads {', '.join(said['leads'])}; it is "
        f"standardised inside.\n{', '.join(exported_model.OUTPUTS)}: [batch, "
        f"{len(said['labels'])}], from 0 to 1, of the labels in the metadata: the mean "
        "of both branches, the high- and the low-resolution branch.\n"
        f"{said['intended_use']}"
    )
