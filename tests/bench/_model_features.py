"""Features of one chip: torchgeo's forward pass beside ours, in interleaved rounds, by processor time."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from predictions import features_compiled
from predictions.features import RandomConvolutionalFeatures
from tests.bench._memory import peak_kib
from tests.bench._model_peak import fma_peak_gflops
from tests.bench._torchgeo import Torchgeo, torchgeo

SIDE_PX = 256
FEW, MANY = 1024, 4096
# So many chips of ours are timed beside one of torchgeo's: times of a hundredth of a second are too short to tell.
CHIPS = 4
ROOT = Path(__file__).resolve().parent.parent.parent


_reference_versions: dict[str, str] = {}


def reference_versions() -> dict[str, str]:
    """Of torch and torchgeo; empty before they were asked."""
    return dict(_reference_versions)


def measured(rounds: int) -> dict[str, float]:
    chips = rough_chips(CHIPS)
    banks = {n: RandomConvolutionalFeatures.as_mosaiks(n).fit(chips) for n in (FEW, MANY)}
    with tempfile.TemporaryDirectory() as name, torchgeo(Path(name), chips[0]) as reference:
        folder = Path(name)
        _reference_versions.update(reference.ask(versions=True)["versions"])
        for n, bank in banks.items():
            np.save(folder / f"{n}.npy", bank.banks[0].filters.reshape(n, 3, 3, 3))
        difference = checked(reference, folder, banks[FEW], chips[:1])
        found = [one_round(reference, folder, banks, chips) for _ in range(rounds)]
        torchgeo_mib = reference.ask(filters=str(folder / f"{MANY}.npy"), forward=True)["peak_mib"]
    figures = {key: round(statistics.median(each[key] for each in found), 3) for key in found[0]}
    peaks = {f"{backend}_peak_mib": peak_mib(backend) for backend in ("numpy", "numba")}
    return figures | {
        "features_max_diff": difference,
        "features_peak_mib": max(peaks.values()),
        "torchgeo_peak_mib": round(torchgeo_mib),
        **peaks,
    }


def rough_chips(n: int) -> np.ndarray:
    """Smooth ground and noise: what is measured depends on no colour."""
    generator = np.random.default_rng(5)
    coarse = generator.normal(size=(n, 3, SIDE_PX // 8 + 1, SIDE_PX // 8 + 1)).cumsum(2).cumsum(3)
    ground = coarse.repeat(8, axis=2).repeat(8, axis=3)[:, :, :SIDE_PX, :SIDE_PX]
    ground = 128 + 40 * (ground - ground.mean()) / ground.std() + generator.normal(0, 8, ground.shape)
    return ground.clip(0, 255).astype(np.uint8)


def checked(reference: Torchgeo, folder: Path, bank: RandomConvolutionalFeatures, chip: np.ndarray) -> float:
    """The largest difference, at bias 0 and on the same filters, of both halves; torchgeo's are in float32."""
    reference.ask(filters=str(folder / f"{bank.n_filters}.npy"), forward=True, save=str(folder / "features.npy"))
    theirs = np.load(folder / "features.npy")
    return max(float(np.abs(with_backend(bank, name).transform(chip) - theirs).max()) for name in ("numpy", "numba"))


def one_round(reference: Torchgeo, folder: Path, banks: dict, chips: np.ndarray) -> dict[str, float]:
    figures = {}
    peak = max(fma_peak_gflops() for _ in range(3))
    for n, bank in banks.items():
        theirs = reference.ask(filters=str(folder / f"{n}.npy"), forward=True)
        ours = {name: cpu_s(with_backend(bank, name), chips) for name in ("numpy", "numba")}
        useful = 2 * 27 * (SIDE_PX - 2) ** 2 * n / 1e9
        figures |= {
            f"torchgeo_{n}_cpu_s": theirs["cpu_s"],
            f"torchgeo_{n}_user_s": theirs["user_s"],
            f"numpy_{n}_cpu_s": ours["numpy"],
            f"compiled_{n}_cpu_s": ours["numba"],
            f"numpy_{n}_vs_torchgeo": theirs["cpu_s"] / ours["numpy"],
            f"compiled_{n}_vs_torchgeo": theirs["cpu_s"] / ours["numba"],
            f"fma_share_{n}": useful / ours["numba"] / peak,
        }
    figures["fma_share_direct"] = 2 * 27 * (SIDE_PX - 2) ** 2 * MANY / 1e9 / direct_cpu_s(banks[MANY], chips) / peak
    return figures | {"fma_peak_gflops": peak}


def with_backend(bank: RandomConvolutionalFeatures, name: str) -> RandomConvolutionalFeatures:
    bank.backend = name
    return bank


def cpu_s(bank: RandomConvolutionalFeatures, chips: np.ndarray) -> float:
    """Of one chip, everything from bytes to features."""
    bank.transform(chips[:1])
    before = time.process_time()
    bank.transform(chips)
    return (time.process_time() - before) / len(chips)


def direct_cpu_s(bank: RandomConvolutionalFeatures, chips: np.ndarray) -> float:
    """Of one chip, where every multiplication of the definition is made."""
    filters = bank.banks[0].filters / np.float32(255)
    plain, in_fours = features_compiled.prepared(filters, 3)
    weights = plain, in_fours[:, :0]
    counts, thresholds = chips[0].astype(np.float32), np.zeros((1, len(filters)))
    before = time.process_time()
    for _ in range(CHIPS):
        features_compiled.pooled(counts, None, weights, thresholds, 3)
    return (time.process_time() - before) / CHIPS


def peak_mib(backend: str) -> int:
    """Of a process that draws 4,096 filters and computes features, and has nothing else to do."""
    command = [sys.executable, "-m", "tests.bench._model_features", backend]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main(backend: str) -> None:
    bank = RandomConvolutionalFeatures.as_mosaiks(MANY, backend=backend).fit(rough_chips(1)[0] for _ in range(20))
    bank.transform(rough_chips(CHIPS))
    print(peak_kib() // 1024)


if __name__ == "__main__":
    main(sys.argv[1])
