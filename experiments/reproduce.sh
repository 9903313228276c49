#!/usr/bin/env bash
# Trains every row of docs/results.md on the whole of PTB-XL and makes its tables.
#
#   experiments/reproduce.sh [SHARDS] [JOBS]
#
# SHARDS  folder written by `python -m data_prep.ptbxl` (default: shards/ptbxl)
# JOBS    number of runs that share the machine or the GPU (default: 1)
#
# It may be stopped at any time: the same command goes on. Run it from the root of a
# clone, in an environment where mrm_jax is installed. PYTHON names another interpreter.
#
# Expected time on one H200, from 11,052 records/s (docs/benchmarks.md): 62 s of training
# steps for each run of MRM-Net with 17,111 records and 40 epochs, so about half an hour
# for the 27 runs of its rows, to which compilation, validation and reports come. The
# baselines were not measured on a GPU.
set -euo pipefail

shards=${1:-shards/ptbxl}
jobs=${2:-1}
python=${PYTHON:-python}
runs=runs/ptbxl
page=$runs/results.md

if [ ! -f "$shards/manifest.json" ]; then
    echo "$shards holds no shards. Prepare PTB-XL first, see docs/data.md." >&2
    exit 2
fi
"$python" -m benchmarks.evidence --data "$shards" --jobs "$jobs" --epochs 40 \
    --workdir "$runs/runs" --results "$runs/results"
cp docs/results.md "$page"
"$python" -m benchmarks.evidence_tables --results "$runs/results" --page "$page"
echo "tables: $page"
