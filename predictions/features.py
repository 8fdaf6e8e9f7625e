"""Random convolutional features of chips, as MOSAIKS defines them: what a grid cell looks like, as numbers.

Rolf et al. (2021), doi:10.1038/s41467-021-24638-z, "Methods: featurization". Where we depart from it, `docs/model.md`
says so and why.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predictions import features_blocked, features_compiled, features_filters

HALVES = ("both", "positive")
BACKENDS = ("auto", "numpy", "numba")
MAX_FILTERS = 16_384
MAX_PATCH_PX = 16
MAX_SCALE = 16
N_BANDS = 3


@dataclass(frozen=True)
class Bank:
    """The filters for one scale."""

    scale: int  # each pixel they see is the mean of scale x scale pixels of the chip
    filters: NDArray[np.float32]  # (n_filters, 3 * patch_px**2), for colours 0 to 1: band, then row, then column
    _prepared: dict = field(default_factory=dict, repr=False, compare=False)

    def prepared(self, backend, patch_px: int):
        """The filters for the sums of bytes that a scaled chip is kept as, laid out for a backend, once."""
        if backend not in self._prepared:
            self._prepared[backend] = backend.prepared(self.filters / np.float32(unit(self.scale)), patch_px)
        return self._prepared[backend]

    def by_value(self) -> NDArray[np.float64]:
        """(n_values, n_filters)."""
        if "by value" not in self._prepared:
            self._prepared["by value"] = np.ascontiguousarray(self.filters.T, dtype=np.float64)
        return self._prepared["by value"]


class RandomConvolutionalFeatures:
    """Mean responses of a chip to filters cut out of chips.

    Parameters
    ----------
    n_filters : int
        All scales together; divided evenly among them.
    patch_px : int
        Side of a filter, pixels.
    scales : tuple of int
        At 2 the filters look at the chip averaged over 2 x 2 pixels. (1,) is MOSAIKS' choice.
    bias : float
        Added to each response before the negative ones are cut off, in units of the whitened filters' responses to
        colours from 0 to 1. 0 in the paper; the MOSAIKS service uses -1.
    halves : "both" or "positive"
        "both", MOSAIKS' choice: mean of max(z + bias, 0) and mean of max(-z + bias, 0), the first of all filters of a
        scale before the second. "positive": the first alone and the means of the pixels under a filter, which hold the
        same at bias 0 (their difference is linear in those means) in almost half as many columns.
    n_patches : int
        How many patches filters are whitened by and drawn from; fewer where the chips have no more.
    seed : int
        Of numpy's PCG64. 0 is a seed as any other.
    backend : "auto", "numpy" or "numba"
        "auto": compiled where numba is installed. They agree to 1e-5; the bytes of one backend do not depend on how
        chips are cut into calls.

    Notes
    -----
    A pixel is hidden where `known` says so. Only patches without a hidden pixel are pooled, or drawn as filters; a
    pixel of a coarser scale is hidden if any of those it is made of is. Patches of one colour throughout are no filters
    (the paper keeps them: their filter is zero).
    """

    def __init__(
        self,
        n_filters: int = 1024,
        patch_px: int = 3,
        scales: tuple[int, ...] = (1, 2),
        bias: float = 0.0,
        halves: str = "positive",
        n_patches: int = 100_000,
        seed: int = 0,
        backend: str = "auto",
    ):
        self.n_filters = n_filters
        self.patch_px = patch_px
        self.scales = tuple(scales)
        self.bias = bias
        self.halves = halves
        self.n_patches = n_patches
        self.seed = seed
        self.backend = backend
        self.banks: tuple[Bank, ...] = ()

    @classmethod
    def as_mosaiks(cls, n_filters: int = 1024, **more) -> "RandomConvolutionalFeatures":
        """One scale and both halves, as in the paper."""
        return cls(n_filters, scales=(1,), halves="both", **more)

    # ---- parameters, as scikit-learn asks for them ----

    def get_params(self, deep: bool = True) -> dict:
        names = ("n_filters", "patch_px", "scales", "bias", "halves", "n_patches", "seed", "backend")
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params) -> "RandomConvolutionalFeatures":
        """Raises ValueError for a parameter there is not; filters that were fitted are forgotten."""
        unknown = set(params) - set(self.get_params())
        if unknown:
            raise ValueError(f"no such parameter: {', '.join(sorted(unknown))}")
        self.__init__(**self.get_params() | params)
        return self

    @property
    def n_columns(self) -> int:
        if self.halves == "both":
            return 2 * self.n_filters
        return self.n_filters + self.n_values * len(self.scales)

    @property
    def n_values(self) -> int:
        """Numbers of a patch."""
        return N_BANDS * self.patch_px**2

    @property
    def filters_sha256(self) -> str:
        """Of the filters and how they are used; empty before `fit`. Equal hashes, comparable features."""
        if not self.banks:
            return ""
        used = {"patch_px": self.patch_px, "scales": self.scales, "bias": float(self.bias), "halves": self.halves}
        digest = hashlib.sha256(json.dumps(used, sort_keys=True).encode())
        for bank in self.banks:
            digest.update(bank.filters.astype("<f4").tobytes())
        return digest.hexdigest()

    def column_names(self) -> list[str]:
        """'s1_f0+' (scale 1, filter 0, positive half), 's1_f0-', 's2_m5' (sixth mean of scale 2)."""
        names = []
        for scale, n_filters in zip(self.scales, self._split(), strict=True):
            names += [f"s{scale}_f{number}+" for number in range(n_filters)]
            if self.halves == "both":
                names += [f"s{scale}_f{number}-" for number in range(n_filters)]
            else:
                names += [f"s{scale}_m{number}" for number in range(self.n_values)]
        return names

    # ---- filters ----

    def fit(self, chips: Iterable[NDArray[np.uint8]], known: Iterable[NDArray[np.bool_] | None] | None = None):
        """Draw the filters from patches of all the chips.

        Parameters
        ----------
        chips : iterable of uint8 arrays of shape (3, height, width), or one array of shape (n_chips, 3, height, width)
            Gone through once; no more than one is kept.
        known : iterable of bool arrays of shape (height, width) or None
            False where the chip shows nothing; None: all of it is known.

        Raises
        ------
        ValueError
            If a parameter or a chip cannot be used, or the chips have fewer different patches than filters are wanted.

        Notes
        -----
        Every patch of every chip is as likely to be in the pool: each gets a random number, and the `n_patches` with
        the smallest are kept. So the pool is a sample without replacement of all the chips in one pass, and depends on
        their order but not on how they are handed over.
        """
        self._check_parameters()
        generator = np.random.Generator(np.random.PCG64(self.seed))
        pools = [features_filters.Pool(self.n_patches, self.patch_px, generator) for _ in self.scales]
        for chip, mask in _paired(chips, known):
            chip, mask = self._checked(chip, mask)
            for scale, pool in zip(self.scales, pools, strict=True):
                pool.add(*scaled(chip, mask, scale))
        self.banks = tuple(
            Bank(scale, features_filters.drawn(pool.patches(), n_filters))
            for scale, pool, n_filters in zip(self.scales, pools, self._split(), strict=True)
        )
        return self

    def to_arrays(self) -> dict[str, NDArray]:
        """Everything that `from_arrays` needs, plain: parameters as JSON in a string array, filters as float32."""
        self._check_fitted()
        arrays = {"parameters": np.array(json.dumps(self.get_params(), sort_keys=True))}
        return arrays | {f"filters_{number}": bank.filters for number, bank in enumerate(self.banks)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray]) -> "RandomConvolutionalFeatures":
        """Of what `to_arrays` gave; other names are not looked at. ValueError where they do not fit together."""
        params = json.loads(str(arrays["parameters"]))
        features = cls(**params | {"scales": tuple(params["scales"])})
        features._check_parameters()
        banks = []
        for number, (scale, n_filters) in enumerate(zip(features.scales, features._split(), strict=True)):
            filters = np.ascontiguousarray(arrays[f"filters_{number}"], dtype=np.float32)
            if filters.shape != (n_filters, features.n_values):
                raise ValueError(f"filters of shape {filters.shape}, wanted {(n_filters, features.n_values)}")
            banks.append(Bank(scale, filters))
        features.banks = tuple(banks)
        return features

    # ---- features ----

    def transform(
        self, chips: NDArray[np.uint8], known: Iterable[NDArray[np.bool_] | None] | None = None
    ) -> NDArray[np.float32]:
        """Features of chips.

        Parameters
        ----------
        chips : uint8 array of shape (n_chips, 3, height, width), or iterable of arrays of shape (3, height, width)
        known : as for `fit`

        Returns
        -------
        float32 array of shape (n_chips, n_columns)
            A row of nan where some scale has no patch without a hidden pixel. Means of pixels are 0 to 1.

        Raises
        ------
        ValueError
            If there are no filters yet, or a chip is not of bytes, of three bands, or smaller than a patch.
        """
        self._check_fitted()
        backend = self._backend()
        rows = [self._row(*self._checked(chip, mask), backend) for chip, mask in _paired(chips, known)]
        return np.array(rows, dtype=np.float32).reshape(len(rows), self.n_columns)

    def _row(self, chip, mask, backend) -> NDArray[np.float64]:
        parts = []
        for bank in self.banks:
            counts, seen = scaled(chip, mask, bank.scale)
            patches = features_filters.whole_patches(seen, self.patch_px)
            if patches is not None and not patches.any():
                return np.full(self.n_columns, np.nan)
            parts += self._of_scale(bank, counts, patches, backend)
        return np.concatenate(parts)

    def _of_scale(self, bank: Bank, counts, patches, backend) -> list[NDArray[np.float64]]:
        """With M(t) the mean of max(z, t): the positive half is M(-bias) + bias, the negative one M(bias) - mean z.

        The mean of z is the filter times the mean patch, so the negative half costs nothing more at bias 0, and one
        more comparison of responses that are there already at another bias.
        """
        filters = bank.by_value()
        mean_patch = features_filters.mean_patch(counts, patches, self.patch_px)
        # Whole numbers, taken off what is multiplied in float32 and put back in float64: a bright, even chip is as
        # exact as any.
        middle = np.rint(mean_patch.reshape(N_BANDS, -1).mean(axis=1))
        offset = responses_to(filters, np.repeat(middle, self.patch_px**2)) / unit(bank.scale)
        mean_patch /= unit(bank.scale)
        is_both = self.halves == "both"
        biases = (-self.bias, self.bias) if is_both and self.bias else (-self.bias,)
        thresholds = np.array(biases)[:, None] - offset
        centred = counts - middle.astype(np.float32)[:, None, None]
        weights = bank.prepared(backend, self.patch_px)
        maxima = backend.pooled(centred, patches, weights, thresholds, self.patch_px) + offset
        positive = maxima[0] + self.bias
        if not is_both:
            return [positive, mean_patch]
        return [positive, maxima[-1] - responses_to(filters, mean_patch)]

    def _backend(self):
        if self.backend == "numpy" or (self.backend == "auto" and not features_compiled.is_available()):
            return features_blocked
        return features_compiled

    # ---- checks ----

    def _split(self) -> list[int]:
        return [self.n_filters // len(self.scales)] * len(self.scales)

    def _check_parameters(self) -> None:
        scales = self.scales
        if not scales or len(set(scales)) < len(scales) or not all(_is_between(s, 1, MAX_SCALE) for s in scales):
            raise ValueError(f"scales are different whole numbers from 1 to {MAX_SCALE}: {scales}")
        if not _is_between(self.n_filters, 1, MAX_FILTERS) or self.n_filters % len(scales):
            raise ValueError(
                f"filters: 1 to {MAX_FILTERS}, as many at each of the {len(scales)} scales: {self.n_filters}"
            )
        if not _is_between(self.patch_px, 1, MAX_PATCH_PX):
            raise ValueError(f"a patch has 1 to {MAX_PATCH_PX} pixels a side: {self.patch_px}")
        if not _is_between(self.n_patches, self.n_filters, 10_000_000):
            raise ValueError(f"the pool of patches is larger than the number of filters: {self.n_patches}")
        if self.halves not in HALVES or self.backend not in BACKENDS:
            raise ValueError(f"halves: {', '.join(HALVES)}; backend: {', '.join(BACKENDS)}")
        if not np.isfinite(self.bias):
            raise ValueError(f"a bias is finite: {self.bias}")
        if self.backend == "numba" and not features_compiled.is_available():
            raise ValueError("numba is not installed; backend='auto' does without it")

    def _check_fitted(self) -> None:
        self._check_parameters()
        if not self.banks:
            raise ValueError("there are no filters yet: fit comes first")

    def _checked(self, chip, mask) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        chip = np.asarray(chip)
        if chip.dtype != np.uint8 or chip.ndim != 3 or len(chip) != N_BANDS:
            raise ValueError(f"a chip is an array of bytes, 3 x height x width: {chip.dtype} {chip.shape}")
        if min(chip.shape[1:]) // max(self.scales) < self.patch_px:
            raise ValueError(f"a chip of {chip.shape[1]} x {chip.shape[2]} pixels is smaller than a patch")
        if mask is None:
            return chip, None
        mask = np.asarray(mask)
        if mask.shape != chip.shape[1:] or mask.dtype != np.bool_:
            raise ValueError(f"what is known of a chip is bool, height x width: {mask.dtype} {mask.shape}")
        return chip, None if mask.all() else mask


def responses_to(by_value: NDArray[np.float64], patch: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of filters, (n_values, n_filters), to one patch; value after value, where BLAS adds as suits the processor."""
    total = np.zeros(by_value.shape[1])
    for row, value in zip(by_value, patch, strict=True):
        total += row * value
    return total


def unit(scale: int) -> float:
    """What a sum of scale x scale bytes is divided by to be a colour from 0 to 1."""
    return 255.0 * scale**2


def scaled(chip: NDArray[np.uint8], mask, scale: int) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Sums over scale x scale pixels, float32 (3, height // scale, width // scale), and where all of them are known.

    Whole numbers, exact. What is left over at the south and east edge takes no part.
    """
    if scale == 1:
        return chip.astype(np.float32), mask
    height, width = (side // scale for side in chip.shape[1:])
    cut = chip[:, : height * scale, : width * scale].reshape(-1, height, scale, width, scale)
    counts = cut.sum(axis=(2, 4), dtype=np.uint32).astype(np.float32)
    if mask is None:
        return counts, None
    return counts, mask[: height * scale, : width * scale].reshape(height, scale, width, scale).all(axis=(1, 3))


def _paired(chips, known) -> Iterator[tuple]:
    if known is None:
        return ((chip, None) for chip in chips)
    return zip(chips, known, strict=True)


def _is_between(number, low: int, high: int) -> bool:
    return isinstance(number, int | np.integer) and not isinstance(number, bool) and low <= number <= high
