"""ONNX Runtime Web, which runs the model in the page: fetched with npm once, checked, and kept in .cache/."""

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from classifier.errors import InputError

# https://github.com/microsoft/onnxruntime, MIT licence. The digest is the one that npm publishes, as its lock files do.
RUNTIME = "onnxruntime-web@1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
RUNTIME_FILES = {"script": "ort.wasm.bundle.min.mjs", "wasm": "ort-wasm-simd-threaded.wasm"}
CACHE = Path(".cache")
TIMEOUT = 300  # seconds for 33 MB


def fetch_runtime() -> dict[str, bytes]:
    """The files of ONNX Runtime Web, as RUNTIME_FILES names them; npm fetches them once.

    Raises:
        InputError: if there is no npm, no network, or npm brings something else.
    """
    archive = CACHE / f"{RUNTIME.replace('@', '-')}.tgz"
    if not archive.exists():
        download_runtime(archive)
    if integrity(archive) != INTEGRITY:
        raise InputError(f"{archive} is not {RUNTIME} as it was published: remove it and run again.")
    with tarfile.open(archive) as tar:
        files = {key: tar.extractfile(f"package/dist/{name}") for key, name in RUNTIME_FILES.items()}
        return {key: file.read() for key, file in files.items() if file}


def download_runtime(archive: Path) -> None:
    npm = shutil.which("npm")
    if not npm:
        raise InputError(f"npm not found, which fetches {RUNTIME}: install Node.js, or export on another machine.")
    print(f"fetching {RUNTIME} with npm, which may take up to {TIMEOUT} s; only the first time", flush=True)
    archive.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        command = [npm, "pack", RUNTIME, "--pack-destination", folder, "--fetch-retries=0", "--loglevel=error"]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise InputError(f"npm did not fetch {RUNTIME} within {TIMEOUT} s: is there a network?") from None
        fetched = Path(folder) / archive.name
        if result.returncode or not fetched.exists():
            lines = [line for line in result.stderr.splitlines() if line.startswith("npm error") and "log" not in line]
            reason = "; ".join(line.removeprefix("npm error ") for line in lines[:2]) or "it says nothing more"
            raise InputError(f"npm could not fetch {RUNTIME} (is there a network?): {reason}")
        fetched.replace(archive)


def integrity(path: Path) -> str:
    with open(path, "rb") as file:
        return "sha512-" + base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
