"""Repositories with the results of many runs that nobody has trained, written in a second or two.

Git gets the commits by fast-import, DVC's cache its files by their MD5, as `dvc repro` and `dvc exp run` leave them.
"""

import hashlib
import itertools
import json
import subprocess
from pathlib import Path

from classifier.data.prepared import SplitWriter

import numpy as np
import pandas as pd
import yaml

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
IMAGES, SIDE, EPOCHS = 600, 16, 8
GRID = [
    {"lr": lr, "model": model, "flip": flip, "class_weights": weights}
    for model, lr, weights, flip in itertools.product(
        ("airbench_small", "resnet18"),
        (0.12, 0.05, 0.24, 0.01, 0.5),
        ({}, {"cat": 2.0}, {"cat": 4.0, "dog": 1.5}),
        ("alternating", "none"),
    )
]
SEEDS = 3


def git(*arguments: str) -> str:
    """Run Git in the current folder; returns what it says."""
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


class Repository:
    """A repository with `runs` runs: three seeds of every setting in GRID, over and over with more epochs.

    The first is tagged `baseline`, main is at the second; all others are DVC's experiments.
    """

    def __init__(self, folder: Path, runs: int, images: int = IMAGES, cached: bool = True, names: list[str] = CLASSES):
        self.folder, self.images, self.cached, self.names = folder, images, cached, names
        self.rng = np.random.default_rng(0)
        self.labels = np.arange(images) % len(names)
        self.hardness = self.rng.beta(2, 6, images) + 0.15 * np.isin(self.labels, [3, 5])
        (folder / ".dvc").mkdir(parents=True)
        (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
        (folder / ".gitignore").write_text("/.dvc/cache\n/.dvc/tmp\n/board.html\n")
        (folder / "dvc.yaml").write_text("stages: {}\n")
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], cwd=folder, check=True)
        self.shared = {
            "prepared/dataset.json": self.store(self.dataset()),
            "prepared/test.safetensors": self.store(self.pictures()),
        }
        self.import_commits([self.run(i) for i in range(runs)])
        if runs:
            subprocess.run(["git", "reset", "--quiet", "--hard", "main"], cwd=folder, check=True)

    def store(self, content: bytes) -> str:
        """Put a file into DVC's cache; returns its MD5."""
        digest = hashlib.md5(content).hexdigest()
        if self.cached:
            path = self.folder / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return digest

    def dataset(self) -> bytes:
        each = {name: int((self.labels == i).sum()) for i, name in enumerate(self.names)}
        splits = {split: {"count": self.images, "per_class": each} for split in ("val", "test")}
        return json.dumps({"classes": self.names, "splits": splits}).encode()

    def pictures(self) -> bytes:
        """A square of its class's colour for each image, on a ground of its own."""
        pixels = np.repeat(self.rng.integers(0, 90, (self.images, 3, 1, 1)), SIDE, 2).repeat(SIDE, 3)
        colours = np.random.default_rng(1).integers(60, 256, (len(self.names), 3))
        pixels[:, :, 4:12, 4:12] = colours[self.labels][:, :, None, None]
        path = self.folder / "pictures"
        with open(path, "wb") as file:
            SplitWriter(file, self.labels, SIDE).append(pixels.astype(np.uint8))
        content = path.read_bytes()
        path.unlink()
        return content

    def run(self, number: int) -> dict[str, bytes]:
        """What Git keeps of a run: params.yaml, metrics.json and dvc.lock."""
        setting, seed = divmod(number, SEEDS)
        rounds, setting = divmod(setting, len(GRID))
        epochs = EPOCHS + 2 * rounds
        train = {"seed": seed, "epochs": epochs, "optimizer": "muon", **GRID[setting], "momentum": 0.6}
        params = {"prepare": {"image_size": SIDE, "seed": 0}, "train": train, "evaluate": {"tta": "none"}}
        quality = 0.93 - 0.05 * abs(np.log10(train["lr"] / 0.12)) - 0.03 * (train["model"] == "resnet18")
        quality += 0.01 * rounds - 0.01 * (train["flip"] == "none")
        tables = {split: self.answer(quality, train["class_weights"]) for split in ("val", "test")}
        outs = self.shared | {
            "plots/history.csv": self.store(self.history(quality, epochs)),
            "predictions.csv": self.store(tables["test"].to_csv(index=False).encode()),
        }
        stage = {
            "deps": [{"path": "data", "md5": "0" * 32}, {"path": "train.py", "md5": "1" * 32}],
            "params": {"params.yaml": {"train": train}},
            "outs": [{"path": path, "md5": digest} for path, digest in outs.items()],
        }
        metrics = {split: self.measure(table, quality) for split, table in tables.items()}
        documents = {"params.yaml": params, "dvc.lock": {"schema": "2.0", "stages": {"train": stage}}}
        files = {name: yaml.safe_dump(document, sort_keys=False).encode() for name, document in documents.items()}
        return files | {"metrics.json": json.dumps(metrics).encode()}

    def answer(self, quality: float, weights: dict[str, float]) -> pd.DataFrame:
        """predictions.csv without probabilities."""
        wanted = np.array([weights.get(name, 1.0) for name in self.names])[self.labels]
        wrong = self.rng.random(self.images) < (1 - quality + self.hardness) / 2.2 / wanted
        shift = self.rng.integers(1, len(self.names), self.images)
        answers = np.where(wrong, (self.labels + shift) % len(self.names), self.labels)
        names = np.array(self.names)
        paths = [f"test/{names[label]}/{i:04}.png" for i, label in enumerate(self.labels)]
        table = {"index": range(self.images), "path": paths, "label": names[self.labels], "prediction": names[answers]}
        return pd.DataFrame(table | {"confidence": 0.9})

    def measure(self, table: pd.DataFrame, quality: float) -> dict:
        right = table["label"] == table["prediction"]
        recall = right.groupby(table["label"]).mean().round(5).to_dict()
        worst = min(recall, key=recall.get)
        return {
            "accuracy": round(right.mean(), 5),
            "loss": round(1.2 - quality + self.rng.normal(0, 0.01), 5),
            "worst_class": worst,
            "worst_recall": recall[worst],
            "recall": {name: recall.get(name, 0.0) for name in self.names},
        }

    def history(self, quality: float, epochs: int) -> bytes:
        epoch = np.arange(1, epochs + 1)
        rise = 1 - np.exp(-epoch / epochs * 4)
        noise = self.rng.normal(0, 0.008, epochs)
        columns = {"val_loss": 2.3 - 1.8 * quality * rise, "val_accuracy": 0.2 + (quality - 0.25) * rise + noise}
        columns |= {"train_loss": 2.3 - 2 * quality * rise, "train_accuracy": 0.2 + (quality - 0.2) * rise}
        return pd.DataFrame({"epoch": epoch} | columns).round(5).to_csv(index=False).encode()

    def import_commits(self, runs: list[dict[str, bytes]]) -> None:
        """The first two runs are main's commits, the others experiments based on the first."""
        lines = []
        for i, files in enumerate(runs):
            ref = "refs/heads/main" if i < 2 else f"refs/exps/ab/{'c' * 38}/exp-{i:03}"
            message = f"Run {i}".encode()
            committer = f"committer test <test@localhost> {1_790_000_000 + 60 * i} +0000"
            lines += [f"commit {ref}\nmark :{i + 1}\n{committer}\n".encode()]
            lines += [b"data %d\n%s\n" % (len(message), message), b"from :1\n" if i else b""]
            tracked = files | {name: (self.folder / name).read_bytes() for name in ("dvc.yaml", ".gitignore")}
            for name, content in tracked.items():
                lines += [f"M 100644 inline {name}\n".encode(), b"data %d\n%s\n" % (len(content), content)]
        lines += [b"reset refs/tags/baseline\nfrom :1\n"] if runs else []
        command = ["git", "fast-import", "--quiet"]
        subprocess.run(command, cwd=self.folder, input=b"".join(lines), check=True, capture_output=True)
