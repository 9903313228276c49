#!/bin/bash
# Starts a worker of one sweep on every TPU host of a queued resource. Run install.sh first:
#
#   deploy/tpu/sweep.sh mrm us-east5-a --config experiments/sweeps/demo.py \
#       --config.data.shards=/mnt/disk/shards/synthetic --workdir /mnt/disk/sweeps/demo \
#       --storage postgresql://mrm@10.0.0.5/mrm --trials 256
#
# Put the database's password in ~/.pgpass of the hosts, not here:
#
#   gcloud compute tpus queued-resources scp ~/.pgpass mrm: --zone=us-east5-a \
#       --node=all --worker=all
#
# Show the output of the first worker, and stop all workers:
#
#   gcloud compute tpus queued-resources ssh mrm --zone=us-east5-a \
#       --command='journalctl --follow --unit=mrm_sweep'
#   gcloud compute tpus queued-resources ssh mrm --zone=us-east5-a --node=all --worker=all \
#       --command='sudo systemctl stop mrm_sweep'
set -euo pipefail

name=$1 zone=$2
shift 2
arguments=$(printf " %q" "$@") # quoted for the remote shell
# systemd keeps the worker when the connection ends. It restarts the worker after a
# preemption, a crash or a storage failure (not after status 2), and sends SIGTERM when the
# machine shuts down.
gcloud compute tpus queued-resources ssh "$name" --zone="$zone" --node=all --worker=all --command="
    sudo systemd-run --unit=mrm_sweep --collect --uid=\$USER \
        --working-directory=\$HOME/mrm_jax --property=LimitMEMLOCK=infinity \
        --property=Restart=on-failure --property=RestartSec=60 \
        --property=RestartPreventExitStatus=2 --property=TimeoutStopSec=120 \
        \$HOME/mrm_jax/.venv/bin/python -m mrm_jax.sweep$arguments"
