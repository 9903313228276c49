#!/bin/bash
# Starts one training run on all hosts of a TPU slice. Run install.sh first:
#
#   deploy/tpu/train.sh mrm us-east5-a --config experiments/ptbxl_all.py \
#       --config.data.shards=/mnt/disk/shards/ptbxl --workdir /mnt/disk/runs/all
#
# /mnt/disk stands for a disk that all hosts see and that outlives the slice (Filestore).
# Show its output, and stop it (it saves first):
#
#   gcloud compute tpus queued-resources ssh mrm --zone=us-east5-a \
#       --command='journalctl --follow --unit=mrm_train'
#   gcloud compute tpus queued-resources ssh mrm --zone=us-east5-a --worker=all \
#       --command='sudo systemctl stop mrm_train'
set -euo pipefail

name=$1 zone=$2
shift 2
arguments=$(printf " %q" "$@") # quoted for the remote shell
# systemd keeps the process when the connection ends. It restarts the process after status
# 75 or a crash (not after 2 or 3), and sends SIGTERM when the machine shuts down.
gcloud compute tpus queued-resources ssh "$name" --zone="$zone" --worker=all --command="
    sudo systemd-run --unit=mrm_train --collect --uid=\$USER \
        --working-directory=\$HOME/mrm_jax --property=LimitMEMLOCK=infinity \
        --property=Restart=on-failure --property=RestartSec=10 \
        --property='RestartPreventExitStatus=2 3' --property=TimeoutStopSec=120 \
        \$HOME/mrm_jax/.venv/bin/python -m mrm_jax.train --distributed$arguments"
