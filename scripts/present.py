"""Serve notebooks/demo.ipynb as a page for people who write no code: docs/presenting.md.

    python scripts/present.py            # for this machine only: http://127.0.0.1:8866
    python scripts/present.py --share    # for the network, behind a token

Reads what `dvc repro` wrote: the model, predictions.csv and the prepared images that it is about.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from classifier.errors import InputError, run
from classifier.paths import CHECKPOINT, PREDICTIONS, split_path

ROOT = Path(__file__).resolve().parents[1]
NEEDED = (CHECKPOINT, PREDICTIONS, *map(split_path, ("val", "test")))
# Others that are installed for JupyterLab do nothing for the page, or break it.
EXTENSIONS = ["@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8"]
VISITORS = 10  # at once
POOL = 6  # processes that wait for the next ones
LARGEST_UPLOAD = 50_000_000  # bytes; browsers say so of a larger one, and one that is sent ends the connection
LOCAL = ["localhost", "127.0.0.1", "[::1]"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8866)
    parser.add_argument("--share", action="store_true", help="let other machines connect that know the token")
    parser.add_argument("--visitors", type=int, default=VISITORS, help=f"how many at once (default: {VISITORS})")
    parser.add_argument("--hostname", action="append", default=[], help="a name under which a proxy serves the page")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    arguments = parser.parse_args()
    if arguments.visitors < 1:
        raise InputError(f"--visitors {arguments.visitors}: at least 1.")
    if missing := [str(path) for path in NEEDED if not (ROOT / path).exists()]:
        raise InputError(f"{', '.join(missing)} not found: run `dvc repro`, or fetch results with `dvc pull`.")
    if arguments.share:
        print("Whoever has the URL with the token can open the page, and nothing is encrypted: docs/presenting.md")
    # Where Voilà looks for templates, before all other places.
    paths = [str(ROOT / "notebooks"), os.environ.get("JUPYTER_PATH")]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, paths))
    with answering():
        serve(arguments)


@contextmanager
def answering() -> Iterator[None]:
    """Have notebooks/answering.py run, which holds the model for all visitors; if it ends, start it anew."""
    stopping = Event()

    def keep_running(address: Path) -> None:
        while not stopping.wait(0.5):
            address.unlink(missing_ok=True)
            command = [sys.executable, "-m", "notebooks.answering", str(address)]
            # In a session of its own, it does not hear of Ctrl+C, and ends with the end of its input.
            with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True) as process:
                while process.poll() is None and not stopping.wait(0.5):
                    pass

    with TemporaryDirectory(prefix="page_") as folder:
        address = Path(folder) / "socket"
        os.environ["CLASSIFIER_PAGE_SOCKET"] = str(address)  # where the processes of visitors look for it
        keeper = Thread(target=keep_running, args=[address])
        keeper.start()
        try:
            yield
        finally:
            stopping.set()
            keeper.join()


def serve(arguments: argparse.Namespace) -> None:
    """Serve the page until Ctrl+C."""
    from present_page.server import Server
    from traitlets.config import Config

    config = Config()
    config.Server.ip = "0.0.0.0" if arguments.share else "127.0.0.1"
    config.Server.auto_token = arguments.share
    config.Server.hostnames = [] if arguments.share else LOCAL + arguments.hostname  # a token is safe under any name
    config.Server.port = arguments.port
    config.Server.open_browser = not arguments.no_browser
    # A visitor whose computer went to sleep does not say goodbye: milliseconds.
    pings = {"ws_ping_interval": 5_000, "ws_ping_timeout": 15_000}
    config.Server.tornado_settings = {"websocket_max_message_size": LARGEST_UPLOAD + 2**20, **pings}
    config.Kernels.limit = arguments.visitors
    config.VoilaKernelManager.fill_delay = 0.2  # seconds until another kernel starts in the place of one that was taken
    config.Kernels.cull_interval, config.Kernels.cull_idle_timeout = 5, 20  # seconds
    # Through TCP, other users of the machine could listen. Names of sockets have to be short.
    config.KernelManager.transport, config.Server.connection_dir_root = "ipc", "/tmp"
    config.VoilaConfiguration.multi_kernel_manager_class = "present_page.server.Kernels"
    config.VoilaConfiguration.preheat_kernel = True  # the page is ready before it is asked for
    config.VoilaConfiguration.default_pool_size = min(POOL, arguments.visitors)
    config.VoilaConfiguration.template = "offline"
    config.VoilaConfiguration.allow_template_override = config.VoilaConfiguration.allow_theme_override = "NO"
    config.VoilaConfiguration.extension_allowlist = EXTENSIONS
    config.VoilaConfiguration.file_allowlist = []  # no file of notebooks/ is asked for
    config.VoilaConfiguration.resources = {"largest_upload": LARGEST_UPLOAD}
    Server.launch_instance([str(ROOT / "notebooks" / "demo.ipynb")], config=config)


if __name__ == "__main__":
    run(main)
