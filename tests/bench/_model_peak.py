"""The most that one core adds and multiplies: twelve sums that wait for nothing but themselves, all in registers."""

import time
from functools import cache

CHAINS = 12
ROUNDS = 5_000_000
WIDTHS = (8, 16)


def fma_peak_gflops() -> float:
    """10^9 additions and multiplications in float32 a processor second, at whichever vector width gives more."""
    return max(_rate(width) for width in WIDTHS)


def _rate(lanes: int) -> float:
    loop = _loop(lanes)
    loop(1, 0.5)
    before = time.process_time()
    loop(ROUNDS, 0.5)
    return ROUNDS * CHAINS * lanes * 2 / (time.process_time() - before) / 1e9


@cache
def _loop(lanes: int):
    import numba
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    vector = ir.VectorType(ir.FloatType(), lanes)

    def generate(context, builder, signature, arguments):
        n, start = arguments
        kind = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{lanes}f32")
        undefined = ir.Constant(vector, ir.Undefined)
        first = builder.insert_element(undefined, start, ir.Constant(ir.IntType(32), 0))
        lanes_of_first = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
        given = builder.shuffle_vector(first, undefined, lanes_of_first)
        sums = [cgutils.alloca_once_value(builder, given) for _ in range(CHAINS)]
        for place in sums:
            builder.store(given, place)
        with cgutils.for_range(builder, n):
            for place in sums:
                builder.store(builder.call(fma, [builder.load(place), given, given]), place)
        total = builder.load(sums[0])
        for place in sums[1:]:
            total = builder.fadd(total, builder.load(place))
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    @intrinsic
    def chains(typing_context, n, start):
        return types.float32(types.int64, types.float32), generate

    @numba.njit
    def loop(n, start):
        return chains(n, numba.float32(start))

    return loop
