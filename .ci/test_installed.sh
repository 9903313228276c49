#!/usr/bin/env bash
# Installs the wheel and the source archive into fresh environments and uses them from
# another folder. PYTHON picks the interpreter; make test-installed calls this.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
for file in "$root"/dist/*.whl "$root"/dist/*.tar.gz; do
    echo "== ${file##*/}, $("${PYTHON:-python3}" --version)"
    folder="$temporary/${file##*.}"
    mkdir "$folder"
    cd "$folder"
    "${PYTHON:-python3}" -m venv environment
    environment/bin/python -m pip install --quiet --disable-pip-version-check "$file"
    export PATH="$folder/environment/bin:$PATH" XLA_FLAGS=--xla_backend_optimization_level=0
    mrm-jax
    python -m mrm_jax --version
    mrm-jax list
    mrm-jax predict --run ptbxl-subset-superdiagnostic ptbxl-example
    python -m data_prep.synthetic --records 60 --raw_dir raw --out shards/mine
    cat > mine.py <<'EXPERIMENT'
from mrm_jax.experiments import demo


def get_config():
    config = demo.get_config()
    config.name = "mine"
    config.data.shards = "shards/mine"
    config.model.width = 4
    config.num_epochs = 1
    return config
EXPERIMENT
    mrm-jax train --config mine.py
    mrm-jax train --config demo --workdir runs/demo --config.data.shards=shards/mine \
        --config.model.width=4 --config.num_epochs=1
    mrm-jax evaluate --run runs/mine --compare runs/demo
    mrm-jax predict --run runs/mine raw/S0001
    python -c 'import mrm_jax; print(mrm_jax.load("runs/mine").labels)'
done
