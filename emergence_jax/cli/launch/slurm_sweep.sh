#!/bin/bash
# A sweep as a Slurm array: each task is a run of its own seeds, whole or gone
# on with. From a clone of the repository:
#
#   sbatch --array=0-3 emergence_jax/cli/launch/slurm_sweep.sh algorithmic:nano runs/nano 4
#
# trains 4 × 4 seeds of nano, and when all are done
#
#   emergence merge --workdir=runs/nano/0 … --workdir=runs/nano/3 --out=runs/nano/all
#
# joins them. Words after the third are flags of `emergence run`. A task that is
# preempted saves, is put into the queue again, and goes on where it was.
#
#SBATCH --job-name=emergence
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A-%a.log
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
set -u
config=$1 folder=$2 seeds=$3
shift 3
task=${SLURM_ARRAY_TASK_ID:-0}

"${PYTHON:-python}" -m emergence_jax.cli.command run --config="$config" \
  --workdir="$folder/$task" --config.seeds.count="$seeds" \
  --config.seeds.first=$((task * seeds)) "$@" &
run=$!
# The shell gets the signal, and the run saves when it is passed on.
trap 'kill -TERM "$run"' TERM
wait "$run"
code=$?
if [ "$code" -gt 128 ]; then # the trap has ended the first wait
  wait "$run"
  code=$?
fi
# 75: stopped by a signal and saved; the same command goes on.
if [ "$code" -eq 75 ] && [ -n "${SLURM_JOB_ID:-}" ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
