#!/bin/bash
# One run over several processes under Slurm: one process a GPU, with the GPUs
# of a node visible to each. From a clone of the repository:
#
#   sbatch --nodes=2 --ntasks-per-node=4 --gpus-per-node=4 \
#     emergence_jax/cli/launch/slurm_multihost.sh --config=algorithmic:large \
#     --workdir=runs/large
#
# The folder must be on a disk that all nodes share. Flags are those of
# `emergence run`; how the processes find each other follows from Slurm.
#
#SBATCH --job-name=emergence
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120
set -u
srun --kill-on-bad-exit=0 "${PYTHON:-python}" -m emergence_jax.cli.command run \
  --multihost "$@"
code=$?
# 75: stopped by a signal, or lost a process; the same command goes on.
if [ "$code" -eq 75 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
