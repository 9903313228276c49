#!/bin/bash
# Installs the committed state of this clone in ~/mrm_jax on all hosts of a queued resource.
# Run it in the root of the clone, with gcloud's project set:
#
#   gcloud compute tpus queued-resources create mrm --zone=us-east5-a --spot \
#       --node-id=mrm --accelerator-type=v6e-16 --runtime-version=v2-alpha-tpuv6e
#   deploy/tpu/install.sh mrm us-east5-a
#
# This makes one slice of four hosts, for train.sh. For sweep.sh use single hosts: replace
# --node-id and --accelerator-type by --node-count=4 --node-prefix=mrm
# --accelerator-type=v6e-8.
set -euo pipefail

name=$1 zone=$2
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
git archive --prefix=mrm_jax/ --output="$folder/mrm_jax.tar.gz" HEAD

everywhere=(--zone="$zone" --node=all --worker=all)
gcloud compute tpus queued-resources scp "$folder/mrm_jax.tar.gz" "$name:" "${everywhere[@]}"
# uv installs the Python version of constraints.txt; the TPU images have an older one.
gcloud compute tpus queued-resources ssh "$name" "${everywhere[@]}" --command='
    set -e
    tar xzf mrm_jax.tar.gz
    cd mrm_jax
    python3 -m pip install --quiet --user uv
    python3 -m uv venv --quiet --allow-existing --python 3.11 .venv
    python3 -m uv pip install --quiet -c constraints.txt -e ".[tpu,sweep]"'
