#!/usr/bin/env bash
# All that wants a GPU, for one that is lent by the minute, each call inside its limit.
#
#     benchmarks/gpu.sh check KEEP SECONDS              the tests marked gpu
#     benchmarks/gpu.sh pace KEEP SECONDS               how fast ResNet-110 is, alone and three at once
#     benchmarks/gpu.sh train KEEP SECONDS GROUP...     runs of the paper's length
#     benchmarks/gpu.sh measure KEEP SECONDS            against peers, by kernel
#
# A plan for 15 minutes in two calls, about 840 s in all:
#
#     60 s    the machine starts
#    180 s    check KEEP 100; pace KEEP 80
#     30 s    between the calls; a machine that is given back meanwhile takes another start
#    470 s    train KEEP 470 "resnet56 plain56 --set eval_every=8000" \
#                 "resnet20 --seed 1 --seeds 3 --set eval_every=8000"
#    100 s    measure KEEP2 100, in the same call
#
# The seconds of training come from ResNet-20's 0.81 ms a step on an H200, and what is seen there of
# depth and of runs at once (1.26 times as fast as in turn): about 275 s for the first group, 160 for
# the second. ResNet-110, about 310 s with eval_every=8000, wants a machine of its own: `pace` says
# what it takes. Fewer tests on the way (eval_every) make no other run; with one after every 1,000
# steps they take as long as the training. Groups, or measurements, take their turns as long as there
# is time, so the surest comes first. check and pace may share a KEEP; train and measure have one of
# their own each.
#
# A tree that travels must be small: leave results/ behind, and send CIFAR-10 in parts.
#
# measure, in order of worth: where a test spends its time, ResNet-20's step with its peers, the
# costliest kernels of three networks, ResNet-50's step with its peers, ResNet-110's beside the
# customary script, the deeper networks' steps with and without fused layers. 100 s are enough for
# about the first two, 400 s for all. The peers that torch.compile makes are compiled before the
# first of them, side by side. It needs no data but the images inside the package.
#
# train: each GROUP is a line of arguments to `deepres train`, e.g. "resnet56 plain56 --seeds 2":
# its runs share the GPU. What a group leaves is packed as soon as it ends. One that SECONDS cut off
# is packed with its checkpoint, from which `deepres train --resume` goes on anywhere. One that fails
# before anything of it was saved begins again without the fused convolutions, then without the fused
# kernels; a line says so. The data are in data/cifar10, or where DATA says. On an H200 ResNet-20
# alone took 122 s, 55.5 s of it training; plain-20 and ResNet-32 at once took 252 s. The rest went
# into the tests after every 1,000 steps.
#
# KEEP is the folder for what is to be kept: packed runs, tables, logs. From a lent machine often
# little comes back, so a line warns of more than 8 files, or of one above 16 MiB. `check` and
# `pace` leave 4 of them, `measure` 8, `train` 2 and those with the runs: as many runs in each as
# FILE_LIMIT allows (bytes; default: 15 MiB), or a piece of one run that is larger. All are unpacked
# into runs/ by
#
#     cat KEEP/runs-*.tar.gz* | tar -xzi
#
# and if a file is lost, those of each other runs-*-*.tar.gz on their own.
#
# DEVICE=cpu QUICK=1 tries all of it out, with small sizes.
#
# Needs what deepres does (torch with Triton, NumPy, Pillow, rich, matplotlib, safetensors, Jinja2),
# installed or not itself, torchvision, and a C compiler; pytest, pytest-xdist, hypothesis and SciPy
# if the tests are to run (and pytest-timeout, so that one that hangs ends alone), timm if it is to be
# compared with.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
what=$1 keep=$2 ends=$(($(date +%s) + $3))
shift 3
device=${DEVICE:-cuda} data=${DATA:-data/cifar10}
export PYTHONPATH=$PWD/src${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
mkdir -p "$keep"
keep=$(realpath "$keep")
scratch=$(mktemp -d)
file_limit=${FILE_LIMIT:-$((15 << 20))}

left() { echo $((ends - $(date +%s))); }

# One that fails or takes too long leaves the others their turn. SIGINT lets it say what it has.
limited() {
    local seconds=$1
    shift
    [ "$(left)" -ge "$seconds" ] || seconds=$(left)
    [ "$seconds" -gt 5 ] || { echo "no time was left for: $*"; return; }
    BENCHMARK_UNTIL=$(($(date +%s) + seconds - 3)) timeout --signal=INT --kill-after=8 "$seconds" "$@" ||
        echo "FAILED with status $?: $*"
}

# The log has each test's name as it ends, however all of it ends; what this platform's libraries
# warn of is no failure.
check() {
    local each=()
    # by a thread: a signal does not reach what waits for the GPU
    ! python3 -c "import pytest_timeout" 2>/dev/null || each=(--timeout 50 --timeout-method thread)
    # shellcheck disable=SC2046 # the files are words
    limited "$(left)" python3 -m pytest -v -W default -m gpu -n 6 "${each[@]}" -p no:cacheprovider \
        --durations=10 --junitxml "$keep/tests.xml" \
        $(grep -rl --include="*.py" mark.gpu tests) >"$keep/tests.log" 2>&1
    tail -n 60 "$keep/tests.log"
}

pace() {
    local sizes="--model resnet110 --seeds 3 --steps 150"
    [ -z "${QUICK:-}" ] || sizes="--model resnet8 --seeds 2 --steps 1"
    # shellcheck disable=SC2086 # the options are words
    limited "$(left)" python3 benchmarks/seeds.py $sizes --turns 1 --device "$device" \
        --out "$keep/seeds.json"
}

measure() {
    local where="--device $device --turns 1" deep="resnet56 resnet110"
    local steps="--models resnet20 --steps 300" deep_steps="--models resnet110 --steps 50"
    local photographs="--batch 256 --steps 10" profiled="resnet20 resnet110 resnet50"
    local tested="--models resnet20 resnet56"
    if [ -n "${QUICK:-}" ]; then
        steps="--models resnet8 --steps 1" deep_steps=$steps
        photographs="--batch 2 --size 32 --steps 1" deep=resnet8
        tested="--models resnet8 --images 100"
        profiled="resnet18 --set crop=32 --set short_side=32,36 --batch-size 2 --turn-seconds 0"
    fi
    # shellcheck disable=SC2086 # the options are words
    {
        limited 40 python3 benchmarks/cifar_test_formats.py $tested $where \
            --out "$keep/cifar_test_formats.json"
        compile_peers $steps $photographs >"$keep/peers.log" 2>&1
        limited 120 python3 benchmarks/cifar_step.py --data sample $steps $where \
            --sides ours compiled customary --out "$keep/cifar_step.json"
        limited 90 python3 -m deepres bench $profiled --only training --profile $where \
            --out "$keep/bench.json"
        limited 120 python3 benchmarks/imagenet_step.py $photographs $where \
            --out "$keep/imagenet_step.json"
        limited 60 python3 benchmarks/cifar_step.py --data sample $deep_steps $where \
            --sides ours customary --out "$keep/cifar_step-deep.json"
        [ "$device" != cuda ] || limited 80 python3 benchmarks/fused_cifar.py --check --nets $deep
    } 2>&1 | tee "$keep/tables.txt"
}

# Leaves what torch.compile makes of the peers in its cache.
compile_peers() {
    [ "$device" = cuda ] || return
    local side
    limited 60 python3 benchmarks/cifar_step.py --data sample --device cuda --side compiled \
        --model "$2" --steps 2 &
    for side in "torchvision, compiled" "timm, compiled"; do
        limited 60 python3 benchmarks/imagenet_step.py --device cuda "${@:5}" --side "$side" &
    done
    wait
}

train() {
    local number=0 short="" group slower status
    [ -z "${QUICK:-}" ] || short="--steps 4"
    [ "$data" = sample ] || data=$(realpath "$data")
    for group in "$@"; do
        number=$((number + 1))
        while compgen -G "$keep/runs-$number-*" >/dev/null; do number=$((number + 1)); done
        mkdir "$scratch/$number" && cd "$scratch/$number" || exit
        for slower in "" --no-fused-convolutions --no-fused-kernels; do
            [ -z "$slower" ] || { echo "once more, with $slower: $group"; rm -rf runs; }
            train_group "$group $short $slower"
            status=$?
            case $status in 0 | 124 | 137) break ;; esac # done, or the time is up
            echo "FAILED with status $status: $group $slower"
            ! has_trained || break
        done
        pack "runs-$number"
    done
}

# A checkpoint is there from the beginning, the first event after some steps.
has_trained() {
    [ -n "$(find runs -name metrics.jsonl -size +0 -print -quit)" ] || compgen -G "runs/*/result.json"
} >/dev/null 2>&1

# Returns the status of `deepres train`, 124 or 137 if the time ended it.
train_group() {
    local seconds=$(($(left) - 35)) # to end a test of all runs, to save, to pack
    [ "$seconds" -gt 20 ] || { echo "no time was left for: $1"; return 124; }
    # shellcheck disable=SC2086 # a group is words
    timeout --signal=TERM --kill-after=25 "$seconds" \
        python3 -m deepres train $1 --data "$data" --device "$device" 2>&1 |
        tee -a "$keep/train.log" | tail -n 12
    return "${PIPESTATUS[0]}"
}

# Packs the runs that are here as $1-1.tar.gz and so on, each whole in itself.
pack() {
    local run run_bytes bytes=0 number=1 together=()
    for run in runs/*/; do
        [ -e "$run" ] || continue
        [ ! -e "$run/checkpoint.pt" ] || rm -f "$run/checkpoint.previous.pt"
        [ ! -e "$run/result.json" ] || rm -f "$run"/checkpoint.*
        rm -f "$run"/.*.tmp # what a kill left half-written
        run_bytes=$(($(du -sk "$run" | cut -f1) * 1024))
        if [ ${#together[@]} -gt 0 ] && [ $((bytes + run_bytes)) -gt "$file_limit" ]; then
            pack_together "$1-$number.tar.gz" "${together[@]}"
            number=$((number + 1)) bytes=0 together=()
        fi
        bytes=$((bytes + run_bytes)) together+=("$run")
    done
    [ ${#together[@]} -eq 0 ] || pack_together "$1-$number.tar.gz" "${together[@]}"
}

# One file, or pieces of it if it is larger than the limit: $1.00, $1.01 …
pack_together() {
    local file=$keep/$1
    tar -cz "${@:2}" | split -b "$file_limit" -d - "$file."
    [ -e "$file.01" ] || mv "$file.00" "$file"
    ls -l "$file"*
}

warn_of_what_may_not_come_back() {
    cd "$keep" || exit
    local files=(*)
    [ ${#files[@]} -le 8 ] || echo "WARNING: $keep holds ${#files[@]} files, more than 8: ${files[*]}"
    find . -type f -size +16M -exec echo "WARNING: above 16 MiB:" {} \;
}

python3 - <<'PYTHON' | tee "$keep/versions.txt"
import platform, torch
print(platform.python_version(), torch.__version__, torch.version.cuda, torch.backends.cudnn.version())
if torch.cuda.is_available():
    print(torch.cuda.get_device_name(), torch.cuda.get_device_capability())
PYTHON
"$what" "$@"
warn_of_what_may_not_come_back
