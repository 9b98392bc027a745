import sys

import pytest


@pytest.fixture(autouse=True, scope="package")
def _one_thread():
    """Networks this small only lose time by sharing out their work."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
