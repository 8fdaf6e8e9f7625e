"""Random convolutional features against the paper's description, written out naively in float64."""

import hashlib
import json
import os
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view

from predictions import features_compiled, features_filters
from predictions.features import RandomConvolutionalFeatures, scaled

BACKENDS = ("numpy", "numba")


def chips_like_ground(n: int = 5, height: int = 37, width: int = 52, seed: int = 0) -> np.ndarray:
    """Not square, smooth with noise, the bands alike."""
    generator = np.random.default_rng(seed)
    rough = generator.normal(size=(n, 3, height + 8, width + 8)).cumsum(axis=2).cumsum(axis=3)
    rough = rough[:, :, 8:, 8:] + 20 * generator.normal(size=(n, 1, height, width))
    low, high = rough.min(axis=(1, 2, 3), keepdims=True), rough.max(axis=(1, 2, 3), keepdims=True)
    return (255 * (rough - low) / (high - low)).astype(np.uint8)


def averaged(chip: np.ndarray, scale: int) -> np.ndarray:
    """Colours 0 to 1, float64."""
    height, width = chip.shape[1] // scale, chip.shape[2] // scale
    pixels = chip[:, : height * scale, : width * scale].astype(float) / 255
    return pixels.reshape(3, height, scale, width, scale).mean(axis=(2, 4))


def patches_of(image: np.ndarray, patch_px: int) -> np.ndarray:
    """(n_patches, values), band, row, column."""
    windows = sliding_window_view(image, (patch_px, patch_px), axis=(1, 2))
    return windows.transpose(1, 2, 0, 3, 4).reshape(-1, 3 * patch_px**2)


def expected(features: RandomConvolutionalFeatures, chip: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    parts = []
    for bank in features.banks:
        patches = patches_of(averaged(chip, bank.scale), features.patch_px)
        if known is not None:
            seen = averaged(np.repeat(255 * known[None].astype(np.uint8), 3, axis=0), bank.scale) == 1
            patches = patches[patches_of(seen, features.patch_px).all(axis=1)]
        responses = patches @ bank.filters.astype(float).T
        parts.append(np.maximum(responses + features.bias, 0).mean(axis=0))
        if features.halves == "both":
            parts.append(np.maximum(-responses + features.bias, 0).mean(axis=0))
        else:
            parts.append(patches.mean(axis=0))
    return np.concatenate(parts)


OPTIONS = [
    {"scales": (1,), "halves": "both"},
    {"scales": (1,), "halves": "both", "bias": -1.0},
    {"scales": (1,), "halves": "both", "bias": 0.7},
    {"scales": (1, 2), "halves": "positive"},
    {"scales": (2, 3), "halves": "positive", "bias": -0.5},
    {"scales": (1, 2), "halves": "both", "patch_px": 4},
    {"scales": (1,), "halves": "positive", "patch_px": 1},
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_features_are_the_mean_responses_of_both_signs(options, backend):
    chips = chips_like_ground()
    features = RandomConvolutionalFeatures(30, backend=backend, n_patches=500, **options).fit(chips)
    found = features.transform(chips)
    assert found.shape == (5, features.n_columns)
    assert found.dtype == np.float32
    assert len(features.column_names()) == features.n_columns
    for chip, row in zip(chips, found, strict=True):
        np.testing.assert_allclose(row, expected(features, chip), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", OPTIONS[:4], ids=str)
def test_hidden_pixels_take_no_part(options):
    chips = chips_like_ground()
    generator = np.random.default_rng(1)
    known = generator.random((5, 37, 52)) > 0.03
    known[1] = True
    known[2, :, :30] = False
    features = RandomConvolutionalFeatures(12, n_patches=500, **options).fit(chips, known)
    hidden_pixels = np.where(known[:, None], chips, 7)
    for backend in BACKENDS:
        features.backend = backend
        found = features.transform(chips, known)
        assert features.transform(hidden_pixels, known).tobytes() == found.tobytes()
        for chip, seen, row in zip(chips, known, found, strict=True):
            np.testing.assert_allclose(row, expected(features, chip, seen), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_chip_without_a_whole_patch_has_no_features(backend):
    chips = chips_like_ground(3)
    known = np.ones((3, 37, 52), bool)
    known[1] = False
    known[2, ::3] = False  # a patch of three rows always meets a hidden one
    features = RandomConvolutionalFeatures(8, n_patches=100, backend=backend).fit(chips)
    assert np.isnan(features.transform(chips, known)).all(axis=1).tolist() == [False, True, True]


@pytest.mark.parametrize("fours_from", [features_compiled.FOURS_FROM, 0], ids=["as it is", "in fours"])
@settings(max_examples=20, deadline=None)
@given(
    shape=st.tuples(st.integers(6, 40), st.integers(6, 40)),
    n_filters=st.integers(1, 9),
    bias=st.sampled_from([0.0, -1.0, 0.3]),
    seed=st.integers(0, 99),
)
def test_both_ways_of_computing_agree_at_every_size(fours_from, shape, n_filters, bias, seed):
    """Rows of 4 to 38 patches: strips begin and end in the midst of rows, fours leave 0 to 3 over."""
    generator = np.random.default_rng(seed)
    chips = generator.integers(0, 256, (2, 3, *shape), dtype=np.uint8)
    known = generator.random((2, *shape)) > 0.01
    features = RandomConvolutionalFeatures(n_filters, scales=(1,), halves="both", bias=bias, n_patches=50, seed=seed)
    plain = features.set_params(backend="numpy").fit(chips).transform(chips, known)
    compiled = RandomConvolutionalFeatures.from_arrays(features.to_arrays())
    compiled.backend = "numba"
    with mock.patch.object(features_compiled, "FOURS_FROM", fours_from):
        found = compiled.transform(chips, known)
    # Noise whitened by a handful of patches has responses of a hundred, and a chip of four patches evens nothing out.
    largest = np.abs(features.banks[0].filters).sum(axis=1).max()
    atol = max(1e-5, 1e-7 * largest) if fours_from else max(3e-5, 3e-7 * largest)
    np.testing.assert_allclose(found, plain, rtol=0, atol=atol, equal_nan=True)


def test_a_chip_of_the_usual_size_agrees_in_fours():
    chips = chips_like_ground(2, 131, 150)
    assert features_compiled.FOURS_FROM < 129 * 148
    for options in OPTIONS[:2]:
        features = RandomConvolutionalFeatures(30, n_patches=5000, **options).fit(chips)
        for backend in BACKENDS:
            features.backend = backend
            for chip, row in zip(chips, features.transform(chips), strict=True):
                np.testing.assert_allclose(row, expected(features, chip), rtol=1e-5, atol=2e-6)


def test_a_small_chip_is_not_computed_in_fours():
    chips = chips_like_ground(1)
    features = RandomConvolutionalFeatures(12, n_patches=300, backend="numba").fit(chips)
    as_it_is = features.transform(chips)
    with mock.patch.object(features_compiled, "FOURS_FROM", 0):
        assert features.transform(chips).tobytes() != as_it_is.tobytes()


@pytest.mark.parametrize("patch_px", [3, 5, 6])
@pytest.mark.parametrize("side", [(67, 83), (72, 66)])
def test_sizes_that_fill_no_block_agree(patch_px, side):
    """Filters, patches and rows that are multiples of no block, strip or vector of either way."""
    chips = chips_like_ground(1, *side)
    known = np.random.default_rng(3).random((1, *side)) > 0.002
    for n_filters, options in [(263, {"scales": (1,), "halves": "both", "bias": 0.4}), (14, {"scales": (1, 2)})]:
        features = RandomConvolutionalFeatures(n_filters, patch_px=patch_px, n_patches=900, **options).fit(chips)
        for backend in BACKENDS:
            features.backend = backend
            for seen in (None, known):
                row = features.transform(chips, seen)[0]
                wanted = expected(features, chips[0], None if seen is None else seen[0])
                np.testing.assert_allclose(row, wanted, rtol=1e-5, atol=1e-5)


def test_an_even_chip_is_as_exact_as_any():
    """Its responses are differences of large numbers that do not average out."""
    features = RandomConvolutionalFeatures.as_mosaiks(40, n_patches=500).fit(chips_like_ground())
    chip = np.empty((3, 40, 40), np.uint8)
    chip[:] = np.array([255, 254, 1])[:, None, None]
    for backend in BACKENDS:
        features.backend = backend
        np.testing.assert_allclose(features.transform([chip])[0], expected(features, chip), rtol=1e-5, atol=1e-5)


# ---- filters ----


def test_filters_are_patches_whitened_twice():
    """All patches of small chips are in the pool: the covariance is known without drawing."""
    chips = chips_like_ground(2, 9, 11)
    features = RandomConvolutionalFeatures.as_mosaiks(20, n_patches=100_000, seed=4).fit(chips)
    patches = np.concatenate([patches_of(averaged(chip, 1), 3) for chip in chips])
    patches = patches - patches.mean(axis=1, keepdims=True)
    patches /= np.sqrt((patches**2).sum(axis=1, keepdims=True))
    values, axes = np.linalg.eigh(patches.T @ patches / len(patches))
    once = axes / np.sqrt(values + 1e-3) @ axes.T
    all_filters = patches @ once @ once.T
    order = [np.abs(all_filters - row).max(axis=1).argmin() for row in features.banks[0].filters]
    np.testing.assert_allclose(features.banks[0].filters, all_filters[order], rtol=1e-4, atol=1e-4)
    assert len(set(order)) == 20  # none is drawn twice
    assert order != sorted(order)


def test_every_patch_of_every_chip_may_be_drawn():
    """A patch's chip and place over 400 pools of 30 of 2 x 5 x 7 = 70 patches, against their even shares."""
    chips = np.random.default_rng(0).permutation(2 * 3 * 7 * 9).astype(np.float32).reshape(2, 3, 7, 9)
    known_by = {tuple(p): n for n, p in enumerate(np.concatenate([patches_of(chip, 3) for chip in chips]))}
    counts = np.zeros(70)
    for seed in range(400):
        pool = features_filters.Pool(30, 3, np.random.Generator(np.random.PCG64(seed)))
        for chip in chips:
            pool.add(chip, None)
        drawn = [known_by[tuple(patch)] for patch in pool.patches()]
        assert len(set(drawn)) == 30
        counts[drawn] += 1
    share = 30 / 70
    z = (counts - 400 * share) / np.sqrt(400 * share * (1 - share))
    assert np.abs(z).max() < 4.5


def test_the_seed_decides_and_zero_is_one():
    chips = chips_like_ground()

    def drawn(seed, given=chips):
        return RandomConvolutionalFeatures(20, n_patches=200, seed=seed).fit(given).filters_sha256

    assert drawn(0) == drawn(0) == drawn(0, iter(list(chips)))
    assert len({drawn(0), drawn(1), drawn(2)}) == 3


def test_the_filters_are_those_of_this_seed_for_ever():
    """Features of an old set stay comparable with those of a new version of the product."""
    features = RandomConvolutionalFeatures.as_mosaiks(4, n_patches=50).fit(chips_like_ground(2, 12, 12))
    first = [9.938675, 2.714544, -23.296476, -8.489364]
    np.testing.assert_allclose(features.banks[0].filters[:, 0], first, rtol=1e-3)


def test_hidden_and_even_patches_are_no_filters():
    chips = np.full((1, 3, 12, 12), 90, np.uint8)
    chips[0, 1, 4, 4] = 91
    known = np.ones((1, 12, 12), bool)
    features = RandomConvolutionalFeatures.as_mosaiks(9)
    assert len(features.fit(chips).banks[0].filters) == 9  # the patches that hold the odd pixel
    with pytest.raises(ValueError, match="0 patches with contrast, fewer than the 9"):
        known[0, 4, 4] = False
        features.fit(chips, known)


# ---- the same bytes ----


@pytest.mark.parametrize("backend", BACKENDS)
def test_bytes_do_not_depend_on_how_chips_are_cut_into_calls(backend):
    chips = chips_like_ground(6)
    known = np.random.default_rng(2).random((6, 37, 52)) > 0.01
    features = RandomConvolutionalFeatures(20, n_patches=300, backend=backend).fit(chips, known)
    whole = features.transform(chips, known)
    for step in (1, 2, 4):
        parts = [features.transform(chips[i : i + step], known[i : i + step]) for i in range(0, 6, step)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()
    backwards = features.transform(list(chips[::-1]), list(known[::-1]))
    assert backwards[::-1].tobytes() == whole.tobytes()


ANOTHER_PROCESSOR = {
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "+sse4.2,+avx,+fma",
    "OPENBLAS_CORETYPE": "Prescott",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3",
}


def of_the_same_chips() -> str:
    """The hash of compiled features of some chips and filters that no processor has rounded."""
    generator = np.random.default_rng(8)
    features = RandomConvolutionalFeatures(26, n_patches=50, backend="numba", bias=0.2, halves="both")
    filters = {f"filters_{n}": generator.normal(size=(13, 27)).astype(np.float32) for n in range(2)}
    parameters = np.array(json.dumps(features.get_params()))
    features = RandomConvolutionalFeatures.from_arrays({"parameters": parameters, **filters})
    return hashlib.sha256(features.transform(generator.integers(0, 256, (2, 3, 141, 150), np.uint8))).hexdigest()


def test_compiled_bytes_are_those_of_another_kind_of_processor():
    """Told to make do without AVX2, with other kernels of BLAS and NumPy, a worker writes the same bytes."""
    code = "from tests.predictions.test_features import of_the_same_chips; print(of_the_same_chips())"
    environment = os.environ | ANOTHER_PROCESSOR
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == of_the_same_chips()


def test_filters_come_back_from_plain_arrays(tmp_path):
    chips = chips_like_ground()
    features = RandomConvolutionalFeatures(20, n_patches=300, bias=-1.0, seed=7).fit(chips)
    np.savez(tmp_path / "filters.npz", **features.to_arrays())
    with np.load(tmp_path / "filters.npz", allow_pickle=False) as arrays:
        back = RandomConvolutionalFeatures.from_arrays(dict(arrays))
    assert back.get_params() == features.get_params()
    assert json.dumps(back.get_params())
    assert back.filters_sha256 == features.filters_sha256
    assert back.transform(chips).tobytes() == features.transform(chips).tobytes()


def test_a_hash_names_the_filters_and_their_use():
    chips = chips_like_ground()

    def hashed(**options):
        return RandomConvolutionalFeatures(12, n_patches=100, **options).fit(chips).filters_sha256

    first = hashed()
    assert len(first) == 64
    assert first == hashed(backend="numpy")
    others = [hashed(bias=-1.0), hashed(scales=(1,)), hashed(halves="both"), hashed(seed=1), hashed(patch_px=4)]
    assert len({first, *others}) == 6
    assert RandomConvolutionalFeatures().filters_sha256 == ""


def test_the_means_are_of_the_chip_at_each_scale():
    chips = chips_like_ground(1)
    features = RandomConvolutionalFeatures(4, n_patches=100).fit(chips)
    found = dict(zip(features.column_names(), features.transform(chips)[0], strict=True))
    # Value 4 of a band is the middle of the patch: the chip without its border.
    assert found["s1_m4"] == pytest.approx(chips[0, 0, 1:-1, 1:-1].mean() / 255, rel=1e-6)
    assert found["s2_m22"] == pytest.approx(averaged(chips[0], 2)[2, 1:-1, 1:-1].mean(), rel=1e-6)


def test_sums_over_pixels_are_exact():
    chip = chips_like_ground(1)[0]
    counts, known = scaled(chip, None, 2)
    assert known is None
    assert counts.shape == (3, 18, 26)
    np.testing.assert_array_equal(counts, np.round(averaged(chip, 2) * 255 * 4))


# ---- what cannot be used ----


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scales": ()}, "scales"),
        ({"scales": (1, 1)}, "scales"),
        ({"scales": (0,)}, "scales"),
        ({"n_filters": 5}, "as many at each of the 2 scales"),
        ({"n_filters": 0}, "filters"),
        ({"patch_px": 0}, "a patch has"),
        ({"n_patches": 7}, "pool"),
        ({"bias": float("nan")}, "bias"),
        ({"halves": "negative"}, "halves"),
        ({"backend": "torch"}, "backend"),
    ],
)
def test_wrong_parameters_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        RandomConvolutionalFeatures(**{"n_filters": 8} | options).fit(chips_like_ground(1))


def test_chips_that_are_none_are_refused():
    features = RandomConvolutionalFeatures(8, n_patches=100).fit(chips_like_ground(1))
    for chip, said in [
        (np.zeros((3, 20, 20)), "bytes"),
        (np.zeros((4, 20, 20), np.uint8), "bytes"),
        (np.zeros((3, 5, 20), np.uint8), "smaller than a patch"),
    ]:
        with pytest.raises(ValueError, match=said):
            features.transform([chip])
    with pytest.raises(ValueError, match="what is known"):
        features.transform(np.zeros((1, 3, 20, 20), np.uint8), [np.ones((20, 20))])
    with pytest.raises(ValueError, match="fit comes first"):
        RandomConvolutionalFeatures(8).transform(chips_like_ground(1))
    with pytest.raises(ValueError, match="no such parameter: filters"):
        features.set_params(filters=3)


def test_no_chips_have_no_rows():
    features = RandomConvolutionalFeatures(8, n_patches=100).fit(chips_like_ground(1))
    assert features.transform(np.empty((0, 3, 20, 20), np.uint8)).shape == (0, features.n_columns)
