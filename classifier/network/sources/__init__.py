"""Where pretrained weights come from: torchvision, timm, a Python package that ships them, or a file.

All of them are checked against the SHA-256 that their publisher states, where one does, also when they come from a
cache. Nothing is executed: a file that holds more than tensors is refused. Without a network, the error says which
file to put where.
"""

from classifier.config import TIMM
from classifier.network.pretrained import Pretrained, named_file
from classifier.network.sources import file, package, timm, torchvision


def fetch(model: str, setting: str) -> Pretrained:
    """The weights that train.pretrained, `setting`, names for the network `model`; not for "none".

    Raises:
        InputError: if there are no such weights, or they cannot be fetched, or are not what was published.
    """
    if named := named_file(setting):
        return file.fetch(model, setting, *named)
    if setting == "package":
        return package.fetch(model)
    return timm.fetch(model, setting) if model.startswith(TIMM) else torchvision.fetch(model, setting)
