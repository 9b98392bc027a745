import sys

from tests.experiments import Repository

import pytest


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    """Networks this small only lose time by sharing out their work."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def repository(workspace):
    """The current folder, with seven runs: three seeds of HEAD's settings, three of others, and one of others again."""
    return Repository(workspace, 7, images=60)
