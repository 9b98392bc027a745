#!/usr/bin/env bash
# Play the whole scenario in demo/, a clone of this repository with noisy handwritten digits, of which one class is hard
# (scripts/get_data.py), as its dataset. Every command is printed before it runs: `make demo` starts it, over and over.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
export WANDB_MODE=offline WANDB_SILENT=true # toy runs are not for anyone's account

bold='' blue='' plain=''
[ ! -t 1 ] || { bold=$'\033[1m' blue=$'\033[36m' plain=$'\033[0m'; }
step() { printf '\n%s# %s of 7, after %d:%02d min: %s%s\n' "$bold" "$1" $((SECONDS / 60)) $((SECONDS % 60)) "$2" "$plain"; }
run() { printf '%s$' "$blue"; printf ' %q' "$@"; printf '%s\n' "$plain"; "$@"; } # quoted, to be copied

# Measured: 96 s of processor time; 3:49 by the clock where other work had half of the two cores.
echo "Two to four minutes on two cores with AVX-512 BF16, several times as long on older ones; each step has a clock."
if [ -n "$(git status --porcelain)" ]; then
  echo "Note: there are uncommitted changes; the demo shows the last commit without them."
fi

step 1 "a clone to play in"
rm -rf demo
run git clone --quiet . demo
run cd demo
git config user.name demo
git config user.email demo@localhost
page="$(cd .. && pwd)/.venv/plots.html" # made by `make setup`: plots that need no network
[ ! -f "$page" ] || dvc config --local plots.html_template "$page"

step 2 "a dataset, versioned: Git keeps the small data.dvc, DVC keeps the images"
echo "Handwritten digits with noise, and few eights to learn from, as rare things are in people's own data."
run python scripts/get_data.py noisy-digits
run dvc add --quiet data
run cp recipes/noisy-digits.yaml params.yaml
run git add data.dvc params.yaml
run git commit --quiet --message "Noisy handwritten digits"

step 3 "the pipeline, run from the start; its result is tagged as the baseline"
run dvc stage list
run dvc repro --quiet
run git add .
run git commit --quiet --message "Baseline"
run git tag baseline

step 4 "more weight for the class that is recognised worst; prepare need not run again"
run python scripts/reweight.py --factor 5
run git diff --unified=0 params.yaml
run dvc repro
run git commit --quiet --all --message "More weight for the worst class"

step 5 "a version to hand over: a Git tag that names the model, and its files where others can get them"
# Beside the cache; without this line, in a folder in your home.
run dvc remote modify --local storage url "$PWD/.dvc/cache/demo-remote"
run gto register classifier --version v1.0.0
run dvc push --quiet

step 6 "someone else picks it up: a clone has everything but the data; dvc pull brings the model"
echo colleague >> .git/info/exclude
run git clone --quiet . colleague
run cd colleague
run dvc remote modify --local storage url "${PWD%/colleague}/.dvc/cache/demo-remote"
run git checkout --quiet classifier@v1.0.0
run dvc pull models/classifier.safetensors
run python scripts/predict.py models/classifier.safetensors ../data/test/eight/1383.png ../data/test/two/1465.png --top 3
run cd ..

step 7 "what did the weight change?"
run dvc params diff baseline
run dvc metrics diff --all baseline
run dvc plots diff baseline
cat <<'END'

To look around: source .venv/bin/activate && cd demo
  dvc_plots/index.html              curves, confusion matrix and predictions, before and after
  python scripts/board.py           both runs on one page, board.html, with the images whose answer changed
  python scripts/inspect_errors.py  what goes wrong and what to do about it: inspection/index.html
  wandb leet ./wandb                the trainings' logs in the terminal
  dvc repro                         after a change in params.yaml: what it makes necessary
  docs/tutorial.md                  the same, step by step, with explanations

END
run python scripts/compare.py baseline HEAD --class eight
