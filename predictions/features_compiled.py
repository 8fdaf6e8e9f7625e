"""Pooled responses of filters, compiled by numba: the same numbers as `features_blocked`, with nothing kept of them.

The patches of a strip of pixels are laid out once, value by value, small enough for the processor's first cache. Four
filters at a time go over it, three vectors of eight pixels each, so that twelve sums, three pixels and one weight fill
the sixteen registers there are; maxima are added up in registers too.
"""

from functools import cache
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

LANES = 8
TILE_PX = 3 * LANES
STRIP_PX = 8 * TILE_PX
GROUP = 4
ALIGNMENT = 64


@cache
def is_available() -> bool:
    return find_spec("numba") is not None


def pooled(
    counts: NDArray[np.float32],
    patches: NDArray[np.bool_] | None,
    filters: NDArray[np.float32],
    thresholds: tuple[float, ...],
    patch_px: int,
) -> NDArray[np.float64]:
    """Mean over patches of max(filter . patch, threshold); arguments and result as of `features_blocked.pooled`."""
    runs = _runs(counts.shape[1] - patch_px + 1, counts.shape[2] - patch_px + 1, patches)
    n_groups = -(-len(filters) // GROUP)
    weights = _aligned((n_groups, filters.shape[1], GROUP))
    padded = np.zeros((n_groups * GROUP, filters.shape[1]), np.float32)
    padded[: len(filters)] = filters
    weights[:] = padded.reshape(n_groups, GROUP, -1).transpose(0, 2, 1)
    strip = _aligned((filters.shape[1], STRIP_PX))
    limits = np.array(thresholds, np.float32)
    sums = np.zeros((n_groups, len(limits), GROUP))
    _compiled(len(limits))(np.ascontiguousarray(counts), runs, weights, limits, patch_px, strip, sums)
    return sums.transpose(1, 0, 2).reshape(len(limits), -1)[:, : len(filters)] / runs[:, 2].sum()


def _aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros that begin where a line of the cache does: a vector never lies over two."""
    size = int(np.prod(shape)) * 4
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size].view(np.float32).reshape(shape)


def _runs(height: int, width: int, patches: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Patches that take part, as (row, first column, length), row by row."""
    if patches is None:
        return np.column_stack([np.arange(height), np.zeros(height, np.int64), np.full(height, width)])
    steps = np.diff(np.pad(patches.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    return np.column_stack([rows, starts, ends - starts])


@cache
def _compiled(n_thresholds: int):
    """The loop over strips for so many thresholds; takes seconds, once in a process."""
    import numba

    group_sums = _group_sums(n_thresholds)

    @numba.njit(nogil=True)
    def of_strip(strip, weights, limits, n_missing, sums):
        for group in range(len(weights)):
            group_sums(strip, weights, group, limits, sums)
            for t in range(n_thresholds):
                for f in range(GROUP):
                    sums[group, t, f] -= n_missing * max(np.float32(0.0), limits[t])

    @numba.njit(nogil=True)
    def over_runs(counts, runs, weights, limits, patch_px, strip, sums):
        filled = 0
        for number in range(len(runs)):
            row, start, left = runs[number, 0], runs[number, 1], runs[number, 2]
            while left:
                n = min(left, STRIP_PX - filled)
                value = 0
                for band in range(counts.shape[0]):
                    for dy in range(patch_px):
                        for dx in range(patch_px):
                            source = counts[band, row + dy, start + dx : start + dx + n]
                            target = strip[value, filled : filled + n]
                            for i in range(n):
                                target[i] = source[i]
                            value += 1
                filled, start, left = filled + n, start + n, left - n
                if filled == STRIP_PX:
                    of_strip(strip, weights, limits, 0, sums)
                    filled = 0
        if filled:
            strip[:, filled:] = 0
            of_strip(strip, weights, limits, STRIP_PX - filled, sums)

    return over_runs


def _group_sums(n_thresholds: int):
    """A function that numba writes in as vector instructions: the compiler's own would leave half the speed.

    group_sums(strip, weights, group, limits, sums): adds to `sums[group]`, (n_thresholds, GROUP) float64, the sums over
    a strip of max(filter . patch, limit) of the four filters of a group.
    """
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    lane = ir.FloatType()
    vector = ir.VectorType(lane, LANES)
    n_vectors = TILE_PX // LANES

    def address(context, builder, array_type, array, index):
        found = context.make_array(array_type)(context, builder, array)
        return found, builder.gep(found.data, [index])

    def spread(builder, value):
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)

    def constant(number):
        return ir.Constant(ir.IntType(64), number)

    def load(builder, pointer, index, align):
        at = builder.bitcast(builder.gep(pointer, [index]), vector.as_pointer())
        found = builder.load(at)
        found.align = align
        return found

    def codegen(context, builder, signature, arguments):
        strip_type, weights_type, _, limits_type, sums_type = signature.args
        strip = context.make_array(strip_type)(context, builder, arguments[0])
        weights = context.make_array(weights_type)(context, builder, arguments[1])
        limits = context.make_array(limits_type)(context, builder, arguments[3])
        sums = context.make_array(sums_type)(context, builder, arguments[4])
        group = arguments[2]
        n_values = builder.extract_value(strip.shape, 0)
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{LANES}f32"
        )
        zero = ir.Constant(vector, [0.0] * LANES)
        of_group = builder.gep(weights.data, [builder.mul(group, builder.mul(n_values, constant(GROUP)))])
        bounds = [spread(builder, builder.load(builder.gep(limits.data, [constant(t)]))) for t in range(n_thresholds)]
        totals = [[cgutils.alloca_once_value(builder, zero) for _ in range(GROUP)] for _ in range(n_thresholds)]
        responses = [[cgutils.alloca_once(builder, vector) for _ in range(n_vectors)] for _ in range(GROUP)]
        for row in totals:
            for total in row:
                builder.store(zero, total)
        with cgutils.for_range(builder, constant(STRIP_PX // TILE_PX)) as tile:
            for row in responses:
                for response in row:
                    builder.store(zero, response)
            start = builder.mul(tile.index, constant(TILE_PX))
            with cgutils.for_range(builder, n_values) as value:
                here = builder.add(start, builder.mul(value.index, constant(STRIP_PX)))
                pixels = [
                    load(builder, strip.data, builder.add(here, constant(v * LANES)), 32) for v in range(n_vectors)
                ]
                of_value = builder.gep(of_group, [builder.mul(value.index, constant(GROUP))])
                for f in range(GROUP):
                    weight = spread(builder, builder.load(builder.gep(of_value, [constant(f)])))
                    for v in range(n_vectors):
                        response = responses[f][v]
                        builder.store(builder.call(fma, [weight, pixels[v], builder.load(response)]), response)
            for t in range(n_thresholds):
                for f in range(GROUP):
                    total = builder.load(totals[t][f])
                    for v in range(n_vectors):
                        z = builder.load(responses[f][v])
                        is_more = builder.fcmp_ordered(">", z, bounds[t])
                        total = builder.fadd(total, builder.select(is_more, z, bounds[t]))
                    builder.store(total, totals[t][f])
        at = builder.gep(sums.data, [builder.mul(group, constant(n_thresholds * GROUP))])
        for t in range(n_thresholds):
            for f in range(GROUP):
                total, target = builder.load(totals[t][f]), builder.gep(at, [constant(t * GROUP + f)])
                whole = builder.load(target)
                for i in range(LANES):
                    one = builder.extract_element(total, ir.Constant(ir.IntType(32), i))
                    whole = builder.fadd(whole, builder.fpext(one, ir.DoubleType()))
                builder.store(whole, target)
        return context.get_dummy_value()

    @intrinsic
    def group_sums(typing_context, strip, weights, group, limits, sums):
        return types.void(strip, weights, types.int64, limits, sums), codegen

    return group_sums
