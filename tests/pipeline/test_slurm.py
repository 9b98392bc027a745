"""scripts/slurm/ on a real Slurm: a job on two nodes, and an array of trials."""

import json
import shutil

from tests.clones import ROOT, Clone
from tests.pipeline.slurm import NODES, Cluster, missing

import pytest
import yaml

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"not here: {', '.join(missing())} of the packages slurm-wlm and munge"),
]

# What every process does: agree with all others on who they are. The first one writes that down.
PROBE = """
import json, os
import torch.distributed as dist

dist.init_process_group("gloo")
found = [None] * dist.get_world_size()
dist.all_gather_object(found, [dist.get_rank(), os.environ["SLURMD_NODENAME"], os.environ["SLURM_CPUS_PER_TASK"]])
if dist.get_rank() == 0:
    json.dump(sorted(found), open("found.json", "w"))
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("slurm") / "cluster")
    try:
        cluster.wait()
        yield cluster
    finally:
        cluster.stop()


def submit(cluster: Cluster, clone: Clone, *command: str) -> None:
    """Run `sbatch` in the clone and wait for the job's end, which must be a good one."""
    clone.environment |= cluster.environment
    try:
        clone.run("sbatch", "--wait", *command, timeout=600)
    except AssertionError as error:
        printed = "\n".join(path.read_text() for path in clone.path.glob("slurm-*.out"))
        raise AssertionError(f"{error}\n{printed}\n{cluster.logs()}") from None


def test_a_job_starts_the_training_on_each_of_its_nodes(cluster, tmp_path):
    clone = Clone(tmp_path / "clone", cold=True)
    shutil.copytree(ROOT / "scripts/slurm", clone.path / "scripts/slurm")
    (clone.path / "probe.py").write_text(PROBE)
    stage = {"cmd": "\\${LAUNCH:-python} probe.py", "deps": ["probe.py"], "outs": ["found.json"]}
    (clone.path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}))
    clone.run("git", "init", "--quiet")
    clone.run("dvc", "init", "--quiet")
    submit(cluster, clone, "--nodes=2", "scripts/slurm/nodes.sh", "train")
    found = json.loads((clone.path / "found.json").read_text())
    assert [rank for rank, *_ in found] == [0, 1]
    assert sorted(node for _, node, _ in found) == list(NODES)
    assert "2 node(s), 1 process(es) on each" in next(clone.path.glob("slurm-*.out")).read_text()


def test_each_task_of_an_array_sends_an_experiment_back(cluster, own):
    trials = {1: "-S train.seed=5", 2: "-S '+train.class_weights={nine: 2.0}' -S train.seed=6"}
    (own.path / "trials.txt").write_text("\n".join(trials.values()) + "\n")
    clone = Clone(own.path, cold=True)
    submit(cluster, clone, "--array=1-2", "scripts/slurm/trials.sh", "trials.txt")
    shown = json.loads(clone.run("dvc", "exp", "show", "--json"))
    experiments = [trial for row in shown for trial in row["experiments"] or []]
    seeds = {trial["name"].rpartition("-")[2]: trial["revs"][0]["data"]["params"] for trial in experiments}
    assert {key: params["params.yaml"]["data"]["train"]["seed"] for key, params in seeds.items()} == {"1": 5, "2": 6}
    assert not list((clone.path / ".dvc/tmp/trials").iterdir())
    name = next(trial["name"] for trial in experiments if trial["name"].endswith("-2"))
    clone.run("dvc", "exp", "apply", name)  # with its files, which lie in the cache already
    assert "nine: 2.0" in (clone.path / "params.yaml").read_text()
    assert clone.would_run() == []
