#!/usr/bin/env bash
# All that wants a GPU, in one call of at most nine minutes; a short table comes last.
#
#     benchmarks/gpu.sh [folder with CIFAR-10's binary files]
#
# Needs what deepres does (torch, NumPy, Pillow, rich, matplotlib, safetensors, Jinja2), installed or
# not itself, and torchvision; pytest, hypothesis and SciPy if its tests are to run, timm if it is to
# be compared with, and a C compiler for torch.compile.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-data/cifar10}
[ -e "$data/test_batch.bin" ] || data=sample
device=${DEVICE:-cuda} # cpu tries the script out
inference=${INFERENCE:---batch 256 --calls 20 --turns 2}
step=${STEP:---batch 256 --steps 20 --turns 2}
export PYTHONPATH=$PWD/src
scratch=$(mktemp -d)

# One that fails or takes too long leaves the others their turn.
table() {
    local seconds=$1
    shift
    timeout "$seconds" python3 "$@" >>"$scratch/tables" || echo "FAILED: $*" >>"$scratch/tables"
}

if python3 -c 'import pytest, hypothesis, scipy' 2>/dev/null; then
    timeout 75 python3 -m pytest -q -m gpu -p no:cacheprovider tests/training || echo "GPU TESTS FAILED"
else
    echo "pytest, hypothesis and SciPy are not all installed: the GPU tests did not run"
fi
timeout 45 python3 -m deepres train resnet20 --steps 1000 --data "$data" --device "$device" \
    --out "$scratch/run" || echo "TRAINING FAILED"
# shellcheck disable=SC2086 # the options are words
table 200 benchmarks/inference.py --device "$device" $inference
# shellcheck disable=SC2086
table 100 benchmarks/imagenet_step.py --device "$device" $step
table 110 benchmarks/cifar_step.py --data "$data" --device "$device" --steps 200 --rounds 2
cat "$scratch/tables"
