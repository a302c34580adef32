#!/bin/bash
# Starts one run on every worker of a TPU VM, from the machine where gcloud is:
#
#   emergence_jax/cli/launch/tpu_vm.sh NAME ZONE --config=algorithmic:large \
#     --workdir=gs-or-nfs-folder/large
#
# Every worker has a clone of the repository in ~/emergence_jax with an
# environment in .venv (pip install -e '.[tpu]'), and sees the same folder. The
# processes find each other by themselves. The same line goes on with a run
# that was preempted, once the machine is there again.
set -eu
if [ "$#" -lt 3 ]; then
  echo "usage: $0 NAME ZONE FLAGS_OF_EMERGENCE_RUN" >&2
  exit 1
fi
name=$1 zone=$2
shift 2
flags=$(printf '%q ' "$@")
exec ${GCLOUD:-gcloud} compute tpus tpu-vm ssh "$name" --zone="$zone" \
  --worker=all --command="cd emergence_jax && exec .venv/bin/python -m \
emergence_jax.cli.command run --multihost $flags"
