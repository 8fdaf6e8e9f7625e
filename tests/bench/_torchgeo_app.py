"""torchgeo's own RCF class, run by the interpreter that has it: python -m tests.bench._torchgeo_app [CHIP].

`torchgeo.models.rcf` is the file of the installed wheel, unchanged. All it takes from the rest of torchgeo is the name
`NonGeoDataset`, for a type annotation; but importing it the usual way imports every model and every data set of
torchgeo, and with them torchvision, lightning, kornia, timm and rasterio. So two packages are stood in for: one with
that name, and one that has nothing but the folder of torchgeo's models.

Without a chip it only says whether it could. With one it answers lines of JSON: {"filters": path} takes the weights of
an npy file (n, 3, h, w), {"forward": true} passes the chip through and says what that took, {"save": path} keeps the
features, {"versions": true} names torch's and torchgeo's. One thread: as a worker would run it, and two are no faster
by the processor's time.
"""

import json
import os
import sys
import types
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from tests.bench._memory import peak_kib


def rcf():
    import torch

    home = Path(find_spec("torchgeo").origin).parent
    datasets, models = types.ModuleType("torchgeo.datasets"), types.ModuleType("torchgeo.models")
    datasets.NonGeoDataset = torch.utils.data.Dataset
    models.__path__ = [str(home / "models")]
    sys.modules |= {"torchgeo.datasets": datasets, "torchgeo.models": models}
    from torchgeo.models.rcf import RCF

    return RCF


def main(arguments: list[str]) -> int:
    try:
        import numpy as np
        import torch

        RCF = rcf()
    except Exception as error:  # whatever it is, the reference is missing
        print(f"torchgeo's RCF cannot be imported: {error!r}", file=sys.stderr)
        return 1
    if not arguments:
        return 0
    torch.set_num_threads(1)
    chip = torch.from_numpy(np.load(arguments[0])).float()[None] / 255
    model = features = None
    for line in sys.stdin:
        request, answer = json.loads(line), {}
        if "filters" in request:
            weights = torch.from_numpy(np.load(request["filters"]))
            features = None
            model = RCF(in_channels=3, features=2 * len(weights), kernel_size=weights.shape[-1], bias=0.0, seed=1)
            model.weights = weights
        if "forward" in request:
            features = None  # its memory goes back before the next is asked for, as in a loop over chips
            before = os.times()
            features = model(chip)
            after = os.times()
            answer["user_s"] = after.user - before.user
            answer["cpu_s"] = answer["user_s"] + after.system - before.system
            answer["peak_mib"] = peak_kib() / 1024
        if "versions" in request:
            answer["versions"] = {name: version(name) for name in ("torch", "torchgeo")}
        if "save" in request:
            np.save(request["save"], features.numpy())
        print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
