"""The results depend neither on where the repository lies nor on who runs it."""

import shutil

from tests.clones import Clone

import pytest

pytestmark = pytest.mark.slow


def test_another_path_locale_time_zone_umask_hash_seed_and_plot_style_give_the_same_bits(finished, tmp_path):
    style = tmp_path / "matplotlibrc"
    style.write_text("font.size: 20\n")
    elsewhere = {"LC_ALL": "C", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "1", "MATPLOTLIBRC": str(style)}
    copy = shutil.copytree(finished.path, tmp_path / "autre clé")
    clone = Clone(copy, elsewhere, umask=0o077, cold=True)
    assert clone.repro("--force") == ["prepare", "weights", "train", "evaluate"]
    assert (copy / "dvc.lock").read_text() == (finished.path / "dvc.lock").read_text()
