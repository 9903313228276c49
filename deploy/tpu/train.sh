#!/bin/bash
# Starts one training on all hosts of a TPU slice, after install.sh:
#
#   deploy/tpu/train.sh mrm us-east5-a --config experiments/ptbxl_all.py \
#       --config.data.shards=/mnt/disk/shards/ptbxl --workdir /mnt/disk/runs/all
#
# /mnt/disk stands for a disk that all hosts see and that outlives the slice (Filestore).
# What it prints, and how to ask it to save and leave:
#
#   gcloud compute tpus queued-resources ssh mrm --zone=us-east5-a \
#       --command='journalctl --follow --unit=mrm_train'
#   gcloud compute tpus queued-resources ssh mrm --zone=us-east5-a --worker=all \
#       --command='sudo systemctl stop mrm_train'
set -euo pipefail

name=$1 zone=$2
shift 2
arguments=$(printf " %q" "$@") # as a shell reads them
# systemd keeps it when the connection ends, starts it again when it ends with 75 or dies
# (not with 2 or 3), and sends it SIGTERM when the machine is shut down.
gcloud compute tpus queued-resources ssh "$name" --zone="$zone" --worker=all --command="
    sudo systemd-run --unit=mrm_train --collect --uid=\$USER \
        --working-directory=\$HOME/mrm_jax --property=LimitMEMLOCK=infinity \
        --property=Restart=on-failure --property=RestartSec=10 \
        --property='RestartPreventExitStatus=2 3' --property=TimeoutStopSec=120 \
        \$HOME/mrm_jax/.venv/bin/python -m mrm_jax.train --distributed$arguments"
