#!/usr/bin/env bash
# Everything that is to be measured on a GPU, in parts of at most ten minutes each.
#
#   benchmarks/on_gpu.sh check parity profile train   # any of the parts below, in turn
#
# check       imports, the device, one training step
# parity      the golden arrays of the reference network (MRM_JAX_GOLDEN names the folder)
# warm        compiles what profile, train and score run, for both sides at once
# profile     kernels of a step by time
# train       training beside PyTorch, eager and compiled
# score       scoring likewise
# memory      peak memory of training
# hardware    which share of the device's arithmetic and bandwidth is used
# parts       the network's parts alone, and other ways to compute them
# flags       training steps under other XLA flags and widths of dense blocks
# population  1, 8, 32 and 128 settings at once
# evidence    the trainings of benchmarks.evidence (DATA names the shards)
#
# PYTHON picks the interpreter. A part's output is kept in build/on_gpu/PART.log, the
# figures in benchmarks/results/, named by the device. A part that fails stops no other.
set -u
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
log=${LOG:-build/on_gpu}
mkdir -p "$log"
export PYTHONUNBUFFERED=1 JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$PWD/.cache/xla}

check() {
    "$python" - <<'PY'
import importlib, sys
needed = ("jax flax optax orbax.checkpoint ml_collections wfdb sklearn pandas rich jinja2 "
          "joblib psutil tensorboardX matplotlib torch").split()
missing = []
for name in needed:
    try:
        importlib.import_module(name)
    except ImportError as error:
        missing.append(f"{name} ({error})")
if missing:
    sys.exit(f"error: not installed: {', '.join(missing)}")
import jax, torch
print("jax", jax.__version__, jax.devices(), "torch", torch.__version__, torch.version.cuda)
if jax.default_backend() == "cpu":
    sys.exit("error: JAX found no accelerator")
import time
from benchmarks import jax_side, load
start = time.perf_counter()
side = jax_side.JaxSide(load.Load(96))
side.train()
print(f"first step of 96 records after {time.perf_counter() - start:.1f} s, compiled anew")
PY
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
}

parity() {
    # Float32 in full: by default convolutions round their inputs to TF32.
    JAX_PLATFORMS=cuda,cpu JAX_DEFAULT_MATMUL_PRECISION=highest \
        "$python" -m pytest tests/parity/test_golden.py -q -p no:cacheprovider --no-header
}

warm() {
    "$python" -m benchmarks.warm_caches torch &
    "$python" -m benchmarks.warm_caches jax
    wait
}

profile() { "$python" -m benchmarks.profile_step --dtypes float32 bfloat16; }
train() { "$python" -m benchmarks.train_step --compiled --dtypes float32 bfloat16 --batches 96 512 --steps 40; }
score() { "$python" -m benchmarks.scoring --compiled --dtypes float32 bfloat16 --batches 96 512 --steps 40; }
memory() { "$python" -m benchmarks.memory --dtypes float32 bfloat16; }
hardware() { "$python" -m benchmarks.hardware --dtypes float32 bfloat16; }
parts() { "$python" -m benchmarks.parts --dtypes float32 bfloat16; }
flags() { "$python" -m benchmarks.step_variants; }
population() {
    "$python" -m benchmarks.population --sizes 1 8 32 --batchings vmap map --devices --steps 4
    "$python" -m benchmarks.population --sizes 128 --batchings map --devices --steps 4
}
evidence() { "$python" -m benchmarks.evidence --data "${DATA:-shards/ptbxl_subset}" --jobs "${JOBS:-6}" --minutes "${MINUTES:-9}"; }

for part in "$@"; do
    declare -F "$part" >/dev/null || { echo "error: no part $part; see the top of $0" >&2; exit 2; }
done
for part in "$@"; do
    echo "== $part"
    start=$SECONDS
    timeout --signal=INT --kill-after=5 "${LIMIT:-580}" bash -c \
        "$(declare -f "$part"); python=$python; $part" 2>&1 | tee "$log/$part.log"
    echo "== $part: status ${PIPESTATUS[0]} after $((SECONDS - start)) s"
done
