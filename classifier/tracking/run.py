"""What a run in Weights & Biases holds; classifier/tracking/process.py makes it.

Which run a model comes from is noted beside the runs, in wandb/models/<SHA-256 of the model>: in the
model itself, or in any output of a stage, it would change the bytes with each run.
"""

import csv
import json
import os
import subprocess
from pathlib import Path
from secrets import token_hex
from typing import Any, Literal

from classifier.files import sha256, write_json
from classifier.paths import CHECKPOINT, DATASET, METRICS, PER_CLASS, split_path

import wandb

# Not the current folder: `dvc exp run --temp` deletes that.
RUNS = Path(os.environ.get("WANDB_DIR") or os.environ.get("DVC_ROOT") or ".").resolve() / "wandb"
INIT_SECONDS, FINISH_SECONDS = 15, 5
Mode = Literal["online", "offline", "disabled"]
MAX_CLASSES = 100  # in a confusion matrix: W&B keeps 10,000 rows of a table


def begin_run(first: dict[str, Any], mode: Mode) -> wandb.Run:
    """A new run, or for evaluation the run of the model's training if that is noted here."""
    settings = wandb.setup().settings
    note = read_note() if first["stage"] == "evaluate" else {}
    new = not note or settings.run_id not in (None, note["run"])  # a sweep gives its own id
    run = wandb.init(
        mode=mode,
        project=settings.project or "image-classifier",
        id=settings.run_id or note.get("run") or token_hex(4),
        resume="allow",
        reinit="create_new",
        settings=wandb.Settings(
            program=f"{first['stage']}.py",
            console="off",
            silent=True,
            init_timeout=INIT_SECONDS,
            finish_timeout=FINISH_SECONDS,
            finish_timeout_raises=True,
            x_stats_pid=os.getppid(),
        ),
        **(identify(first, settings) if new else {}),
    )
    run.define_metric("epoch", hidden=True)
    for name in ("train/*", "val/*", "val_recall/*", "lr", "images_per_second"):
        run.define_metric(name, step_metric="epoch")
    for name, best in {"val/accuracy": "max", "val/loss": "min"}.items():
        run.define_metric(name, step_metric="epoch", summary=f"{best},last")
    if new:
        # What use_artifact() does; that itself refuses to work offline.
        run._log_artifact(reference("data", "dataset", DATASET), is_user_created=True, use_after_commit=True)
    else:
        run.summary.update(note["summary"])
        run.config.update({"evaluate": first["params"]["evaluate"]}, allow_val_change=True)
    return run


def identify(first: dict[str, Any], settings: wandb.Settings) -> dict[str, Any]:
    """Name, group, tags and config of a new run."""
    params, data, commit = first["params"], json.loads(DATASET.read_text()), git("rev-parse", "HEAD")
    experiment, baseline = os.environ.get("DVC_EXP_NAME"), os.environ.get("DVC_EXP_BASELINE_REV")
    images = {name: split["count"] for name, split in data["splits"].items()}
    return {
        "name": settings.run_name or experiment or git("describe", "--always", "--tags", "--dirty") or None,
        "group": settings.run_group or (baseline or commit)[:7] or None,
        "tags": [params["train"]["model"], f"seed={params['train']['seed']}", *(settings.run_tags or [])],
        "config": {
            **params,
            "data": {"sha256": sha256(DATASET), "images": images, "classes": data["classes"]},
            "git_commit": commit,
            "dvc": {"experiment": experiment, "baseline": baseline},
            "environment": first["environment"],
        },
    }


def reference(name: str, kind: str, path: Path) -> wandb.Artifact:
    """An artifact that says which file was used or made, without a copy of it: DVC keeps the file."""
    artifact = wandb.Artifact(name, kind, metadata={"sha256": sha256(path)})
    artifact.add_reference(path.resolve().as_uri(), name=path.name)
    return artifact


def log_epoch(run: wandb.Run, row: dict[str, Any]) -> None:
    """Add a row under the names by which W&B forms sections: train/loss, val/loss, val_recall/cat …"""
    recall = zip(json.loads(DATASET.read_text())["classes"], row.pop("val_recall"), strict=True)
    run.log(
        {name.replace("train_", "train/").replace("val_", "val/"): value for name, value in row.items()}
        | {f"val_recall/{name}": value for name, value in recall}
    )


def log_evaluation(run: wandb.Run) -> None:
    """Add what evaluate.py has written: metrics, confusion matrix, a row per class, worst mistakes, the model."""
    from classifier.results.predictions import class_names, load_predictions, worst_mistakes

    metrics = json.loads(METRICS.read_text())
    run.summary.update({"evaluate": metrics})
    split = "test" if "test" in metrics else "val"  # of which the tables are
    per_class, predictions = read_table(PER_CLASS), load_predictions()
    classes = class_names(predictions)
    numbers = [[row["class"], *(float(row[name]) for name in row if name != "class")] for row in per_class]
    logged: dict[str, Any] = {f"{split}/per_class": wandb.Table(columns=list(per_class[0]), data=numbers)}
    if mistakes := [picture(row, split) for row in worst_mistakes(predictions).to_dict("records")]:
        logged[f"{split}/mistakes"] = mistakes
    if len(classes) <= MAX_CLASSES:
        logged[f"{split}/confusion_matrix"] = wandb.plot.confusion_matrix(
            y_true=[classes.index(name) for name in predictions["label"]],
            preds=[classes.index(name) for name in predictions["prediction"]],
            class_names=classes,
            title=f"Confusion matrix of the {split} split",
        )
    run.log(logged)
    run.log_artifact(reference("classifier", "model", CHECKPOINT))


def picture(row: dict[str, Any], split: str) -> wandb.Image:
    from safetensors import safe_open

    with safe_open(split_path(split), "np") as file:
        image = file.get_slice("images")[row["index"]]
    caption = f"{row['prediction']} {row['confidence']:.0%}, is {row['label']}"
    return wandb.Image(image.transpose(1, 2, 0), caption=caption)


def read_table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_note() -> dict[str, Any]:
    """What is noted of the run that the model was trained in: id, folder and summary; nothing elsewhere."""
    note = RUNS / "models" / sha256(CHECKPOINT)
    return json.loads(note.read_text()) if note.exists() else {}


def write_note(run: wandb.Run) -> None:
    """Note the run, for the evaluation of its model. Its summary, too: a later part of an offline run replaces it."""
    summary = {name: value for name, value in run.summary._as_dict().items() if not name.startswith("_")}
    note = {"run": run.id, "folder": str(Path(run.dir).parent), "summary": summary}
    write_json(RUNS / "models" / sha256(CHECKPOINT), note)


def training_folder() -> list[str]:
    """Where the model's training was logged, if that was offline: it has to be uploaded with the evaluation."""
    folder = Path(read_note().get("folder", ""))
    return [str(folder)] if folder.name.startswith("offline-run-") and folder.exists() else []


def git(*arguments: str) -> str:
    """What a git command prints, or nothing outside a repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=2)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
