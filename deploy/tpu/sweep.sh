#!/bin/bash
# Starts a worker of one sweep on every TPU host of a queued resource, after install.sh:
#
#   deploy/tpu/sweep.sh mrm us-east5-a --config experiments/sweeps/demo.py \
#       --config.data.shards=/mnt/disk/shards/synthetic --workdir /mnt/disk/sweeps/demo \
#       --storage postgresql://mrm@10.0.0.5/mrm --trials 256
#
# The database's password stands in ~/.pgpass of the hosts, not here:
#
#   gcloud compute tpus queued-resources scp ~/.pgpass mrm: --zone=us-east5-a \
#       --node=all --worker=all
#
# What the first one prints, and how to stop all:
#
#   gcloud compute tpus queued-resources ssh mrm --zone=us-east5-a \
#       --command='journalctl --follow --unit=mrm_sweep'
#   gcloud compute tpus queued-resources ssh mrm --zone=us-east5-a --node=all --worker=all \
#       --command='sudo systemctl stop mrm_sweep'
set -euo pipefail

name=$1 zone=$2
shift 2
arguments=$(printf " %q" "$@") # as a shell reads them
# systemd keeps it when the connection ends, starts it again when it is terminated, dies
# or finds no storage (not with 2), and sends it SIGTERM when the machine is shut down.
gcloud compute tpus queued-resources ssh "$name" --zone="$zone" --node=all --worker=all --command="
    sudo systemd-run --unit=mrm_sweep --collect --uid=\$USER \
        --working-directory=\$HOME/mrm_jax --property=LimitMEMLOCK=infinity \
        --property=Restart=on-failure --property=RestartSec=60 \
        --property=RestartPreventExitStatus=2 --property=TimeoutStopSec=120 \
        \$HOME/mrm_jax/.venv/bin/python -m mrm_jax.sweep$arguments"
