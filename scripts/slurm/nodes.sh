#!/bin/bash
# Run the pipeline in a Slurm job; train.py runs on all GPUs of all its nodes, each with a process of its own.
#
#   sbatch --nodes 4 --gpus-per-node 8 --cpus-per-task 64 scripts/slurm/nodes.sh
#   sbatch --nodes 2 --cpus-per-task 8 scripts/slurm/nodes.sh     # without GPUs: a process on each node
#
# From the repository, which must lie on a disk that all nodes share. What follows the script goes to `dvc repro`.
# After a crash, a preemption or the end of its time, the same job goes on where training stopped. docs/scaling.md
#
#SBATCH --job-name=classifier
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.out
set -euo pipefail

PATH="$PWD/.venv/bin:$PATH"
processes=${SLURM_GPUS_ON_NODE:-1}
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}"  # which srun does not take over by itself
# torchrun starts the processes of a node; those of all nodes meet on this one, the first, at a port of the job's own.
LAUNCH="srun --nodes=$SLURM_NNODES --ntasks=$SLURM_NNODES --ntasks-per-node=1 --kill-on-bad-exit=1 torchrun"
LAUNCH+=" --nnodes=$SLURM_NNODES --nproc-per-node=$processes --rdzv-backend=c10d --rdzv-id=$SLURM_JOB_ID"
LAUNCH+=" --rdzv-endpoint=$(hostname):$((20000 + SLURM_JOB_ID % 20000))"
export LAUNCH
echo "$SLURM_NNODES node(s), $processes process(es) on each: $SLURM_JOB_NODELIST"
dvc repro "$@"
