"""The inner loops of `features_compiled`, written as vector instructions: a compiler's own reach half their speed.

Six filters at a time go over sixteen places. Where registers hold eight numbers, twelve sums, two vectors and one
weight fill all but one of the sixteen there are. LLVM cuts vectors to a processor's size; every number is added to the
same others in the same order whatever that size is, so processors that can fuse a product and a sum agree to the byte.
"""

from functools import cache

LANES = 16
GROUP = 6
SUM_LANES = LANES // 2  # sums over places are kept apart in so many, as float64
ROWS_OF_FILTER = 9  # three of each band

# Winograd's F(4, 3): six products of transformed filters and values make the four responses of three values each. With
# polynomials taken at 0, infinity and plus and minus these two points, errors are half those of the usual 1 and 2.
POINT = 0.5**0.5  # and its inverse
SIX = 6


@cache
def direct(n_thresholds: int, strip: int):
    """direct(values, weights, limits, sums): responses to patches that are laid out value by value.

    `values` (n_values, strip) float32, begins at a multiple of 64 bytes; `weights` (n_groups, n_values, GROUP);
    `limits` (1 + n_groups, n_thresholds, GROUP). To `sums` (1 + n_groups, n_thresholds, GROUP, SUM_LANES), float64, the
    sums over the strip of max(filter . patch, limit) are added; group 0 of limits and sums is nobody's.
    """

    def body(code, arguments):
        values, weights, limits, sums = arguments
        n_values = code.length(values, 0)
        ending = _Ending(code, limits, sums, n_thresholds)
        with code.loop(code.length(weights, 0)) as group:
            of_group = code.at(weights, code.times(group, n_values, GROUP))
            with code.loop(code.number(strip // LANES)) as tile:
                products = code.products(code.at(values, code.times(tile, LANES)), of_group, n_values, strip)
                for f in range(GROUP):
                    ending.add(code.plus(group, code.number(1)), code.number(f), [products[f]])

    return _intrinsic(body)


@cache
def in_fours(n_thresholds: int, strip: int):
    """in_fours(values, weights, limits, sums): the same of four patches side by side at once.

    For filters of three columns. `values` (6, n_rows, strip) and `weights` (n_groups, 6, n_rows, GROUP) are transformed
    so that six products make what twelve would (Lavin and Gray 2016, doi:10.1109/CVPR.2016.435); a place of the strip
    is four patches.

    The six products of a tile are kept until the next one's are made, and a filter of the tile before is ended beside
    each: what waits for memory and for sums is done while the multipliers are busy.
    """

    def body(code, arguments):
        values, weights, limits, sums = arguments
        n_rows, n_tiles = ROWS_OF_FILTER, strip // LANES
        ending = _Ending(code, limits, sums, n_thresholds)
        kept = code.room(2 * SIX * GROUP)

        def end(row, half, f):
            """A filter of the tile whose products lie in this half of what is kept."""
            six = [
                code.kept(kept, code.plus(code.times(half, SIX * GROUP), code.number(j * GROUP), f)) for j in range(SIX)
            ]
            ending.add(row, f, code.four(six))

        with code.loop(code.length(weights, 0)) as group:
            of_group = code.at(weights, code.times(group, SIX * n_rows * GROUP))
            with code.loop(code.number(n_tiles)) as tile:
                half = code.odd(code.plus(code.times(group, n_tiles), tile))
                # Group 0, nobody's, before the first tile: sums have a row in front.
                row_before = code.plus(group, code.is_more(tile, 0))
                with code.loop(code.number(SIX)) as six:
                    end(row_before, code.minus(code.number(1), half), six)
                    here = code.plus(code.times(tile, LANES), code.times(six, n_rows * strip))
                    products = code.products(
                        code.at(values, here), code.offset(of_group, code.times(six, n_rows * GROUP)), n_rows, strip
                    )
                    first = code.plus(code.times(half, SIX * GROUP), code.times(six, GROUP))
                    for f in range(GROUP):
                        code.keep(kept, code.plus(first, code.number(f)), products[f])
        n_groups = code.length(weights, 0)
        last_half = code.odd(code.plus(code.times(n_groups, n_tiles), code.number(1)))
        with code.loop(code.number(GROUP)) as f:
            end(n_groups, last_half, f)

    return _intrinsic(body)


def _intrinsic(body):
    from numba import types
    from numba.extending import intrinsic

    def generate(context, builder, signature, arguments):
        arrays = [
            context.make_array(kind)(context, builder, argument)
            for kind, argument in zip(signature.args, arguments, strict=True)
        ]
        body(_Code(builder), arrays)
        return context.get_dummy_value()

    @intrinsic
    def written(typing_context, values, weights, limits, sums):
        return types.void(values, weights, limits, sums), generate

    return written


class _Code:
    """What the loops are made of, as LLVM's instructions."""

    def __init__(self, builder):
        from llvmlite import ir
        from numba.core import cgutils

        self.ir, self.tools, self.builder = ir, cgutils, builder
        self.vector = ir.VectorType(ir.FloatType(), LANES)
        self.sum_vector = ir.VectorType(ir.DoubleType(), SUM_LANES)
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

    def plus(self, first, *others):
        for other in others:
            first = self.builder.add(first, other)
        return first

    def minus(self, one, other):
        return self.builder.sub(one, other)

    def odd(self, value):
        """1 or 0."""
        return self.builder.and_(value, self.number(1))

    def is_more(self, value, than: int):
        """1 or 0."""
        return self.builder.zext(self.builder.icmp_signed(">", value, self.number(than)), self.ir.IntType(64))

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
        return self.builder.shuffle_vector(first, self.undefined, self._lanes([0] * LANES))

    def halves_added(self, vector):
        low, high = (range(start, start + SUM_LANES) for start in (0, SUM_LANES))
        parts = [self.builder.shuffle_vector(vector, self.undefined, self._lanes(part)) for part in (low, high)]
        return self.builder.fadd(*parts)

    def _lanes(self, numbers):
        kind = self.ir.VectorType(self.ir.IntType(32), len(numbers))
        return self.ir.Constant(kind, list(numbers))

    def fma(self, one, other, added):
        return self.builder.call(self._fma, [one, other, added])

    def larger(self, one, other):
        return self.builder.select(self.builder.fcmp_ordered(">", one, other), one, other)

    def products(self, values, weights, n, stride: int):
        """Of each filter: the sum over n rows of values, `stride` numbers apart, times its weights."""
        sums = [self.variable(self.constant(0.0)) for _ in range(GROUP)]
        if isinstance(n, int):  # written out: LLVM would leave a rest, and write the sums to memory before it
            for row in range(n):
                self._add_products(sums, values, weights, self.number(row * stride), self.number(row * GROUP))
        else:
            with self.loop(n) as row:
                self._add_products(sums, values, weights, self.times(row, stride), self.times(row, GROUP))
        return [self.builder.load(each) for each in sums]

    def _add_products(self, sums, values, weights, values_at, weights_at) -> None:
        row, of_row = self._load(self.offset(values, values_at)), self.offset(weights, weights_at)
        for f, total in enumerate(sums):
            weight = self.spread(self.offset(of_row, self.number(f)))
            self.builder.store(self.fma(weight, row, self.builder.load(total)), total)

    def _load(self, pointer):
        found = self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()))
        found.align = LANES * 4
        return found

    def room(self, n: int):
        """Zeros, so many vectors."""
        place = self.tools.alloca_once(self.builder, self.ir.ArrayType(self.vector, n))
        self.builder.store(self.ir.Constant(self.ir.ArrayType(self.vector, n), None), place)
        return place

    def keep(self, room, number, value) -> None:
        self.builder.store(value, self.builder.gep(room, [self.number(0), number]))

    def kept(self, room, number):
        return self.builder.load(self.builder.gep(room, [self.number(0), number]))

    def four(self, six):
        """The responses to four patches from the six products."""
        b, one, other = self.builder, self.constant(POINT), self.constant(1 / POINT)
        half, two = self.constant(0.5), self.constant(2.0)
        sum_12, difference_12 = b.fadd(six[1], six[2]), b.fsub(six[1], six[2])
        sum_34, difference_34 = b.fadd(six[3], six[4]), b.fsub(six[3], six[4])
        return [
            self.fma(one, sum_34, self.fma(other, sum_12, six[0])),
            b.fadd(difference_12, difference_34),
            self.fma(other, sum_34, b.fmul(one, sum_12)),
            self.fma(two, difference_34, self.fma(half, difference_12, six[5])),
        ]


class _Loop:
    def __init__(self, code: _Code, n):
        self._range = code.tools.for_range(code.builder, n)

    def __enter__(self):
        return self._range.__enter__().index

    def __exit__(self, *error):
        return self._range.__exit__(*error)


class _Ending:
    """What exceeds the limits, added up: a few numbers in float32, all of them in float64."""

    def __init__(self, code: _Code, limits, sums, n_thresholds: int):
        self._code, self._limits, self._sums, self._n = code, limits, sums, n_thresholds

    def add(self, row, f, responses: list) -> None:
        """Responses of filter f of this row of limits and sums."""
        code = self._code
        for t in range(self._n):
            place = code.plus(code.times(row, self._n * GROUP), code.number(t * GROUP), f)
            limit = code.spread(code.at(self._limits, place))
            cut = [code.larger(response, limit) for response in responses]
            while len(cut) > 1:
                cut = [code.builder.fadd(*pair) for pair in zip(cut[::2], cut[1::2], strict=True)]
            self._to_sums(code.at(self._sums, code.times(place, SUM_LANES)), code.halves_added(cut[0]))

    def _to_sums(self, pointer, few) -> None:
        code, builder = self._code, self._code.builder
        target = builder.bitcast(pointer, code.sum_vector.as_pointer())
        so_far = builder.load(target)
        so_far.align = 8
        stored = builder.store(builder.fadd(so_far, builder.fpext(few, code.sum_vector)), target)
        stored.align = 8
