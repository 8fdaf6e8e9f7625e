"""The inner loops of `features_compiled`, written as vector instructions: a compiler's own reach half their speed.

Four filters at a time go over three vectors of eight places each: twelve sums, three vectors and one weight fill the
sixteen registers there are. Where a processor has other vectors, LLVM cuts these to its size.
"""

from functools import cache

LANES = 8
VECTORS = 3
TILE = LANES * VECTORS
GROUP = 4
ROWS_OF_FILTER = 9  # three of each band

# Winograd's F(4, 3): six products of transformed filters and values make the four responses of three values each. With
# polynomials taken at 0, infinity and plus and minus these two points, errors are half those of the usual 1 and 2.
POINT = 0.5**0.5  # and its inverse


@cache
def direct(n_thresholds: int, strip: int):
    """direct(values, weights, group, thresholds, sums): responses to patches that are laid out value by value.

    `values` (n_values, strip) float32, begins at a multiple of 32 bytes; `weights` (n_groups, n_values, GROUP);
    `thresholds` (n_groups, n_thresholds, GROUP); to `sums` of the same shape, float64, the sums over the strip of
    max(filter . patch, threshold) are added for the filters of the group.
    """

    def body(code, arguments):
        values, weights, group, thresholds, sums = arguments
        n_values = code.length(values, 0)
        of_group = code.at(weights, code.times(group, n_values, GROUP))
        ending = code.ending(thresholds, group, n_thresholds)
        with code.loop(code.number(strip // TILE)) as tile:
            products = code.products(code.at(values, code.times(tile, TILE)), of_group, n_values, strip, GROUP)
            for f in range(GROUP):
                for response in products[f]:
                    ending.take(f, response)
        ending.give(sums, group)

    return _intrinsic(body)


@cache
def in_fours(n_thresholds: int, strip: int):
    """in_fours(values, weights, group, thresholds, sums): the same of four patches side by side at once.

    For filters of three columns. `values` (6, n_rows, strip) and `weights` (n_groups, 6, n_rows, GROUP) are transformed
    so that six products make what twelve would (Lavin and Gray 2016, doi:10.1109/CVPR.2016.435); a place of the strip
    is four patches.
    """

    def body(code, arguments):
        values, weights, group, thresholds, sums = arguments
        n_rows = ROWS_OF_FILTER
        of_group = code.at(weights, code.times(group, n_rows * 6 * GROUP))
        ending = code.ending(thresholds, group, n_thresholds)
        kept = code.room(6 * GROUP * VECTORS)
        with code.loop(code.number(strip // TILE)) as tile:
            with code.loop(code.number(6)) as six:
                here = code.plus(code.times(tile, TILE), code.times(six, n_rows * strip))
                products = code.products(
                    code.at(values, here), code.offset(of_group, code.times(six, n_rows * GROUP)), n_rows, strip, GROUP
                )
                for f in range(GROUP):
                    for v in range(VECTORS):
                        code.keep(kept, six, f * VECTORS + v, products[f][v])
            for f in range(GROUP):
                for v in range(VECTORS):
                    for response in code.four([code.kept(kept, j, f * VECTORS + v) for j in range(6)]):
                        ending.take(f, response)
        ending.give(sums, group)

    return _intrinsic(body)


def _intrinsic(body):
    from numba import types
    from numba.extending import intrinsic

    def generate(context, builder, signature, arguments):
        arrays = [
            argument if kind == types.int64 else context.make_array(kind)(context, builder, argument)
            for kind, argument in zip(signature.args, arguments, strict=True)
        ]
        body(_Code(builder), arrays)
        return context.get_dummy_value()

    @intrinsic
    def written(typing_context, values, weights, group, thresholds, sums):
        return types.void(values, weights, types.int64, thresholds, sums), generate

    return written


class _Code:
    """What the loops are made of, as LLVM's instructions."""

    def __init__(self, builder):
        from llvmlite import ir
        from numba.core import cgutils

        self.ir, self.tools, self.builder = ir, cgutils, builder
        self.vector = ir.VectorType(ir.FloatType(), LANES)
        self.undefined = ir.Constant(self.vector, ir.Undefined)
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        # Fused where the processor can: never a call into a library.
        self._fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32")

    # whole numbers and addresses

    def number(self, value: int):
        return self.ir.Constant(self.ir.IntType(64), value)

    def times(self, *factors):
        product = self.number(1)
        for factor in factors:
            product = self.builder.mul(product, self.number(factor) if isinstance(factor, int) else factor)
        return product

    def plus(self, one, other):
        return self.builder.add(one, other)

    def length(self, array, axis: int):
        return self.builder.extract_value(array.shape, axis)

    def at(self, array, index):
        return self.builder.gep(array.data, [index])

    def offset(self, pointer, index):
        return self.builder.gep(pointer, [index])

    def loop(self, n):
        return _Loop(self, n)

    # vectors

    def constant(self, value: float):
        return self.ir.Constant(self.vector, [value] * LANES)

    def variable(self, value):
        place = self.tools.alloca_once(self.builder, self.vector)
        self.builder.store(value, place)
        return place

    def spread(self, pointer):
        """One number from memory in all lanes."""
        zero = self.ir.Constant(self.ir.IntType(32), 0)
        first = self.builder.insert_element(self.undefined, self.builder.load(pointer), zero)
        lanes = self.ir.Constant(self.ir.VectorType(self.ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(first, self.undefined, lanes)

    def fma(self, one, other, added):
        return self.builder.call(self._fma, [one, other, added])

    def larger(self, one, other):
        return self.builder.select(self.builder.fcmp_ordered(">", one, other), one, other)

    def products(self, values, weights, n, stride: int, step: int):
        """[filter][vector]: sums over n rows of values, `stride` numbers apart, times weights, `step` apart."""
        sums = [[self.variable(self.constant(0.0)) for _ in range(VECTORS)] for _ in range(GROUP)]
        if isinstance(n, int):  # written out: LLVM would leave a rest, and write the sums to memory before it
            for row in range(n):
                self._add_products(sums, values, weights, self.number(row * stride), self.number(row * step))
        else:
            with self.loop(n) as row:
                self._add_products(sums, values, weights, self.times(row, stride), self.times(row, step))
        return [[self.builder.load(each) for each in of_filter] for of_filter in sums]

    def _add_products(self, sums, values, weights, values_at, weights_at) -> None:
        start, of_row = self.offset(values, values_at), self.offset(weights, weights_at)
        vectors = [self._load(self.offset(start, self.number(v * LANES))) for v in range(VECTORS)]
        for f in range(GROUP):
            weight = self.spread(self.offset(of_row, self.number(f)))
            for v in range(VECTORS):
                self.builder.store(self.fma(weight, vectors[v], self.builder.load(sums[f][v])), sums[f][v])

    def _load(self, pointer):
        found = self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()))
        found.align = LANES * 4
        return found

    def room(self, n: int):
        return self.tools.alloca_once(self.builder, self.ir.ArrayType(self.vector, n))

    def keep(self, room, six, number: int, value) -> None:
        index = self.plus(self.times(six, GROUP * VECTORS), self.number(number))
        self.builder.store(value, self.builder.gep(room, [self.number(0), index]))

    def kept(self, room, six: int, number: int):
        index = self.number(six * GROUP * VECTORS + number)
        return self.builder.load(self.builder.gep(room, [self.number(0), index]))

    def four(self, six):
        """The responses to four patches from the six products."""
        b, one, other = self.builder, self.constant(POINT), self.constant(1 / POINT)
        half, two = self.constant(0.5), self.constant(2.0)
        sum_12, difference_12 = b.fadd(six[1], six[2]), b.fsub(six[1], six[2])
        sum_34, difference_34 = b.fadd(six[3], six[4]), b.fsub(six[3], six[4])
        return (
            self.fma(one, sum_34, self.fma(other, sum_12, six[0])),
            b.fadd(difference_12, difference_34),
            self.fma(other, sum_34, b.fmul(one, sum_12)),
            self.fma(two, difference_34, self.fma(half, difference_12, six[5])),
        )

    def ending(self, thresholds, group, n_thresholds: int):
        return _Ending(self, thresholds, group, n_thresholds)


class _Loop:
    def __init__(self, code: _Code, n):
        self._range = code.tools.for_range(code.builder, n)

    def __enter__(self):
        return self._range.__enter__().index

    def __exit__(self, *error):
        return self._range.__exit__(*error)


class _Ending:
    """Sums of what exceeds the thresholds, in float32 over one strip and in float64 over all."""

    def __init__(self, code: _Code, thresholds, group, n_thresholds: int):
        self._code, self._n = code, n_thresholds
        self._first = code.times(group, n_thresholds * GROUP)
        self._thresholds = code.at(thresholds, self._first)
        self._totals = [[code.variable(code.constant(0.0)) for _ in range(GROUP)] for _ in range(n_thresholds)]

    def take(self, f: int, response) -> None:
        code = self._code
        for t in range(self._n):
            threshold = code.spread(code.offset(self._thresholds, code.number(t * GROUP + f)))
            total = self._totals[t][f]
            code.builder.store(code.builder.fadd(code.builder.load(total), code.larger(response, threshold)), total)

    def give(self, sums, group) -> None:
        code, ir = self._code, self._code.ir
        at = code.at(sums, self._first)
        for t in range(self._n):
            for f in range(GROUP):
                total, target = code.builder.load(self._totals[t][f]), code.offset(at, code.number(t * GROUP + f))
                whole = code.builder.load(target)
                for lane in range(LANES):
                    one = code.builder.extract_element(total, ir.Constant(ir.IntType(32), lane))
                    whole = code.builder.fadd(whole, code.builder.fpext(one, ir.DoubleType()))
                code.builder.store(whole, target)
