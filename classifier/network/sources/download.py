"""Fetching, and what to say where that fails."""

import hashlib
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from classifier.config import PACKAGED
from classifier.errors import InputError
from classifier.files import atomic_write
from classifier.network.sources.reading import first_line

TIMEOUT = 8  # seconds without an answer
PATH_FORM = "PATH@sha256:DIGEST for a file"


def download(url: str, path: Path, prefix: str, model: str) -> None:
    """Fetch a file whose SHA-256 begins with `prefix`; it appears at `path` only when it is whole and right.

    Raises:
        InputError: if that fails.
    """
    print(f"fetching {url}")
    digest, count = hashlib.sha256(), 0
    try:
        with urlopen(url, timeout=TIMEOUT) as reply, atomic_write(path) as file:
            while block := reply.read(1 << 20):
                digest.update(block)
                count += len(block)
                file.write(block)
            if count < int(reply.headers["Content-Length"] or 0):
                raise OSError("the connection was cut")
            if not digest.hexdigest().startswith(prefix):
                raise OSError(f"what came has a SHA-256 that begins with {digest.hexdigest()[: len(prefix)]}")
    except (OSError, HTTPException) as error:
        raise unreachable(url, error, path.name, path.parent, model) from None


def unreachable(url: str, error: Exception, file: str, folder: Path, model: str) -> InputError:
    """The error to raise if `url` cannot be fetched: `file` can be put into `folder` by hand, or a package helps."""
    if model in PACKAGED:
        instead = "or use train.pretrained: package"
    else:
        instead = f"or use train.pretrained: package with train.model: {PACKAGED[0]}"
    return InputError(f"{url} cannot be fetched ({first_line(error)}): put the file {file} into {folder}, {instead}.")
