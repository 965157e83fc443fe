#!/usr/bin/env bash
# All that wants a GPU, in one call of at most nine minutes; a short table comes last.
#
#     benchmarks/gpu.sh [folder with CIFAR-10's binary files]
#
# Needs torch, torchvision, safetensors, rich, matplotlib and Pillow; pytest if its tests are to run.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-data/cifar10}
[ -e "$data/test_batch.bin" ] || data=sample
export PYTHONPATH=$PWD/src

if python3 -c 'import pytest' 2>/dev/null; then
    timeout 120 python3 -m pytest -q -m gpu -p no:cacheprovider tests/training || echo "GPU TESTS FAILED"
else
    echo "pytest is not installed: the GPU tests did not run"
fi
timeout 60 python3 -m deepres train resnet20 --steps 1000 --data "$data" --device cuda \
    --out "$(mktemp -d)/run"
timeout 300 python3 benchmarks/cifar_step.py --data "$data" --device cuda --steps 200 --rounds 3
