"""Serve notebooks/demo.ipynb as a page for people who write no code: docs/presenting.md.

    python scripts/present.py            # for this machine only: http://127.0.0.1:8866
    python scripts/present.py --share    # for the network, behind a token

Reads what `dvc repro` wrote: the model, predictions.csv and the prepared images that it is about.
"""

import argparse
import os
from pathlib import Path

from classifier.errors import InputError, run
from classifier.paths import CHECKPOINT, PREDICTIONS, split_path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = (CHECKPOINT, PREDICTIONS, *map(split_path, ("val", "test")))
# Others that are installed for JupyterLab do nothing for the page, or break it.
EXTENSIONS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8"]
LARGEST_UPLOAD = 100 * 2**20  # bytes; a larger one ends the connection


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8866)
    parser.add_argument("--share", action="store_true", help="let other machines connect that know the token")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    arguments = parser.parse_args()
    if missing := [str(path) for path in NEEDED if not (ROOT / path).exists()]:
        raise InputError(f"{', '.join(missing)} not found: run `dvc repro`, or fetch results with `dvc pull`.")
    if arguments.share:
        print("Whoever has the URL with the token can open the page, and nothing is encrypted: docs/presenting.md")
    # Where Voilà looks for templates, before all other places.
    paths = [str(ROOT / "notebooks"), os.environ.get("JUPYTER_PATH")]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, paths))
    serve(arguments.port, arguments.share, not arguments.no_browser)


def serve(port: int, share: bool, open_browser: bool) -> None:
    from traitlets.config import Config
    from voila.app import Voila

    config = Config()
    config.Voila.ip = "0.0.0.0" if share else "127.0.0.1"
    config.Voila.auto_token = share
    config.Voila.port = port
    config.Voila.open_browser = open_browser
    config.Voila.tornado_settings = {"websocket_max_message_size": LARGEST_UPLOAD}
    config.VoilaConfiguration.template = "offline"
    config.VoilaConfiguration.preheat_kernel = True  # the page is ready before it is asked for
    config.VoilaConfiguration.allow_template_override = "NO"
    config.VoilaConfiguration.extension_allowlist = EXTENSIONS
    Voila.launch_instance([str(ROOT / "notebooks" / "demo.ipynb")], config=config)


if __name__ == "__main__":
    run(main)
