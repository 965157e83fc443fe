#!/usr/bin/env bash
# All that wants a GPU, in one call of at most nine minutes; a short table comes last.
#
#     benchmarks/gpu.sh [folder with CIFAR-10's binary files [folder for what is to be kept]]
#
# Tests the fast path, trains ResNet-20 in full, and measures: training steps on CIFAR-10 against the
# customary script, five runs at once, 1,202 layers, ResNet-50's training and inference against its
# peers, time against depth. Numbers go to benchmarks/results/; with a second argument they are
# packed there too, as gpu.tar.gz, with ResNet-20's run.
#
# Needs what deepres does (torch with Triton, NumPy, Pillow, rich, matplotlib, safetensors, Jinja2),
# installed or not itself, torchvision, and a C compiler; pytest, hypothesis and SciPy if the tests
# are to run, timm if it is to be compared with.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:-data/cifar10}
keep=${2:-}
[ -e "$data/test_batch.bin" ] || data=sample
device=${DEVICE:-cuda} # cpu tries the script out, with small sizes in QUICK
export PYTHONPATH=$PWD/src
scratch=$(mktemp -d)
touch "$scratch/began" "$scratch/tables"

[ -z "$keep" ] || mkdir -p "$keep"

# One that fails or takes too long leaves the others their turn; 530 s in all. Benchmarks stop
# beforehand, and write what they have.
limited() {
    local seconds=$1
    shift
    BENCHMARK_UNTIL=$(($(date +%s) + seconds - 5)) timeout "$seconds" python3 "$@" ||
        echo "FAILED: $*"
}
table() { limited "$@" >>"$scratch/tables"; }

if python3 -c 'import pytest, hypothesis, scipy' 2>/dev/null; then
    # what this platform's libraries warn of is no failure
    limited 90 -m pytest -q -W default -m gpu -p no:cacheprovider tests/training
else
    echo "pytest, hypothesis and SciPy are not all installed: the GPU tests did not run"
fi
if [ -n "${QUICK:-}" ]; then
    train="--steps 4 --seeds 1" few="--steps 1 --turns 1" net=resnet8 nets=resnet8 deep=resnet14
    small="--batch 2 --size 32" calls="--calls 1 --turns 1"
    sizes="--depths 1 2 --batches 2 4"
else
    train="--steps 64000" few="--steps 200 --turns 1" net=resnet110 nets="resnet20 resnet56 resnet110"
    small="--batch 256" calls="--calls 20 --turns 1" deep=resnet1202
    # a process takes seconds to begin
    sizes="--precision bf16 --turns 1 --depths 3 18 200 --batches 32 128 512"
fi
# shellcheck disable=SC2086 # the options are words
{
    limited 75 -m deepres train resnet20 $train --data "$data" --device "$device" \
        --out "$scratch/resnet20" | tee -a "$scratch/tables"
    table 90 benchmarks/cifar_step.py --data "$data" --device "$device" --models $nets $few
    table 50 benchmarks/seeds.py --device "$device" --model $net $few
    table 35 benchmarks/cifar_step.py --data sample --device "$device" --models $deep --ours-only \
        --steps 5 --turns 1
    table 95 benchmarks/imagenet_step.py --device "$device" $small --steps 10 --turns 1
    table 45 benchmarks/inference.py --device "$device" $small $calls
    table 50 benchmarks/scaling.py --device "$device" $sizes
}
if [ -n "$keep" ]; then
    find benchmarks/results -newer "$scratch/began" -name '*.json' >"$scratch/new"
    cp "$scratch/tables" "$keep/tables.txt"
    tar -czf "$keep/gpu.tar.gz" --exclude='checkpoint*' -T "$scratch/new" -C "$scratch" $(
        cd "$scratch" && ls -d resnet20*
    ) || echo "FAILED: tar"
fi
cat "$scratch/tables"
