#!/usr/bin/env bash
# Play the whole scenario in demo/, a clone of this repository with scikit-learn's handwritten digits
# as its dataset. Every command is printed before it runs: `make demo` starts it, over and over.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
export WANDB_MODE=offline # toy runs are not for anyone's account

bold='' blue='' plain=''
[ ! -t 1 ] || { bold=$'\033[1m' blue=$'\033[36m' plain=$'\033[0m'; }
say() { printf '\n%s# %s%s\n' "$bold" "$*" "$plain"; }
run() { printf '%s$' "$blue"; printf ' %q' "$@"; printf '%s\n' "$plain"; "$@"; } # quoted, to be copied

if [ -n "$(git status --porcelain)" ]; then
  say "Note: there are uncommitted changes; the demo shows the last commit without them"
fi

say "1. A clone to play in"
rm -rf demo
run git clone --quiet . demo
run cd demo
git config user.name demo
git config user.email demo@localhost
page="$(cd .. && pwd)/.venv/plots.html" # made by `make setup`: plots that need no network
[ ! -f "$page" ] || dvc config --local plots.html_template "$page"

say "2. A dataset, versioned: Git keeps the small data.dvc, DVC keeps the images"
run python scripts/get_data.py digits
run dvc add --quiet data
run cp recipes/digits.yaml params.yaml
run git add data.dvc params.yaml
run git commit --quiet --message "Handwritten digits"

say "3. The pipeline, run from the start; its result is tagged as the baseline"
run dvc dag
run dvc repro
run git add .
run git commit --quiet --message "Baseline"
run git tag baseline

say "4. More weight for the class that is recognised worst; prepare need not run again"
run python scripts/reweight.py
run git diff --unified=0 params.yaml
run dvc repro
run git commit --quiet --all --message "More weight for the worst class"

say "5. What did it change?"
run dvc params diff baseline
run dvc metrics diff baseline
run dvc plots diff baseline

say "6. A version to hand over: a Git tag that names the model, and its files where others can get them"
# Beside the cache; without this line, in a folder in your home.
run dvc remote modify --local storage url "$PWD/.dvc/cache/demo-remote"
run gto register classifier --version v1.0.0
run dvc push

say "7. Someone else picks it up: a clone has everything but the data; dvc pull brings the model"
echo colleague >> .git/info/exclude
run git clone --quiet . colleague
run cd colleague
run dvc remote modify --local storage url "${PWD%/colleague}/.dvc/cache/demo-remote"
run git checkout --quiet classifier@v1.0.0
run dvc pull models/classifier.safetensors
run python scripts/predict.py models/classifier.safetensors ../data/test/eight/1443.png ../data/test/two/1465.png --top 3
run cd ..

say "Done. Look around in demo/"
cat <<'END'
  dvc_plots/index.html   curves, confusion matrix and predictions, before and after
  predictions.csv        what the model says of every test image
  params.yaml            change a number, then: dvc repro
  wandb/                 the trainings' logs: wandb leet ./wandb
  ../docs/tutorial.md    the same, step by step, with explanations
The tools are in .venv/bin: activate them with `source .venv/bin/activate`.
END
