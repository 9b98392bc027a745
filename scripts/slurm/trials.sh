#!/bin/bash
# Try values: each line of a file holds the options of one `dvc exp run`, and each is a task of a Slurm job array.
#
#   printf '%s\n' '-S train.seed=1' '-S train.lr=0.05 -S train.seed=1' > trials.txt
#   sbatch --array=1-2 --gpus-per-task 1 --cpus-per-task 8 scripts/slurm/trials.sh trials.txt
#
# From the repository, which must lie on a disk that all nodes share. `dvc exp show` lists what has ended.
# `dvc exp run --temp` and the queue keep a list in one repository, for which tasks on several nodes would race. So each
# task works in a clone of the last commit, below .dvc/tmp/trials/, with the repository's cache, and sends its
# experiment back as a Git reference. A task that is requeued finds its clone, and goes on where training stopped.
#
#SBATCH --job-name=trials
#SBATCH --ntasks=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%A-%a.out
set -euo pipefail

root=$PWD
name="trial-$SLURM_ARRAY_JOB_ID-$SLURM_ARRAY_TASK_ID"
options=$(sed -n "${SLURM_ARRAY_TASK_ID}p" "$1")
[ -n "$options" ] || { echo "$1 has no line $SLURM_ARRAY_TASK_ID" >&2; exit 1; }
export PATH="$root/.venv/bin:$PATH" OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"

clone="$root/.dvc/tmp/trials/$name"
[ -d "$clone/.git" ] || git clone --quiet --shared "$root" "$clone"
cache=$(cd "$root" && dvc cache dir)
cd "$clone"
[ ! -f "$root/.dvc/config.local" ] || cp "$root/.dvc/config.local" .dvc/config.local
dvc cache dir --local "$cache"
rm -f .dvc/tmp/lock .dvc/tmp/rwlock  # of the same task, where it was killed: nobody else works here
dvc checkout --quiet data.dvc
xargs dvc exp run --name "$name" <<< "$options"  # which takes quotes as a shell does, and runs nothing else
dvc exp push --no-cache origin "$name"  # the cache is the repository's own
[ ! -d wandb ] || cp -r wandb/. "$root/wandb/"
cd "$root"
rm -rf "$clone"
