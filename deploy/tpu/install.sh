#!/bin/bash
# Installs this clone, as it is committed, in ~/mrm_jax of all hosts of a queued resource.
# In the root of the clone, with gcloud's project set:
#
#   gcloud compute tpus queued-resources create mrm --zone=us-east5-a --spot \
#       --node-id=mrm --accelerator-type=v6e-16 --runtime-version=v2-alpha-tpuv6e
#   deploy/tpu/install.sh mrm us-east5-a
#
# That is one slice of four hosts, for train.sh. For sweep.sh take single hosts:
# --node-count=4 --node-prefix=mrm --accelerator-type=v6e-8 in the place of these two.
set -euo pipefail

name=$1 zone=$2
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
git archive --prefix=mrm_jax/ --output="$folder/mrm_jax.tar.gz" HEAD

everywhere=(--zone="$zone" --node=all --worker=all)
gcloud compute tpus queued-resources scp "$folder/mrm_jax.tar.gz" "$name:" "${everywhere[@]}"
# uv brings the Python of constraints.txt: the TPU's images have an older one.
gcloud compute tpus queued-resources ssh "$name" "${everywhere[@]}" --command='
    set -e
    tar xzf mrm_jax.tar.gz
    cd mrm_jax
    python3 -m pip install --quiet --user uv
    python3 -m uv venv --quiet --allow-existing --python 3.11 .venv
    python3 -m uv pip install --quiet -c constraints.txt -e ".[tpu,sweep]"'
