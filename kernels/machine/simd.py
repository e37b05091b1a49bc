"""The vocabulary of the kernels: vectors, tiles, and what can be done with them.

A *vector* is one SIMD register: `lanes(A)` numbers of the dtype of A.  A *tile* is a small block of
vectors on the stack; loops over it have constant bounds, so LLVM unrolls them and keeps the whole
tile in registers.  With these two ideas an ordinary loop runs at the speed of hand-written assembly.

Arrays are two-dimensional and C-contiguous, and a vector is taken along a row: ``load(A, k, i)`` is
``A[k, i : i + lanes(A)]``.  Nothing here checks a bound.
"""

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import intrinsic, lower_builtin, models, register_model

from fastnn.kernels.machine.host import ARM, REGISTER_BYTES, TRIPLE

INT8, INT32, INT64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


#: The rows of a tile of one column, and of one for what is left.
TALL, SHORT = 12, 4
#: How many numbers of the columns of few examples share a vector: see `load_folded`.
FOLDS = 4


class Halves(types.Array):
    """An array that is taken in vectors of half a register (see `half`)."""

    def __init__(self, array):
        super().__init__(array.dtype, array.ndim, array.layout, readonly=not array.mutable, name=f"halves({array})")


class VectorType(types.Type):
    """The vector that arrays of this type are taken in."""

    def __init__(self, array):
        self.dtype = array.dtype
        self.lanes = REGISTER_BYTES * 8 // array.dtype.bitwidth // (2 if isinstance(array, Halves) else 1)
        super().__init__(name=f"vector({self.dtype}, {self.lanes})")


class TileType(types.Type):
    def __init__(self, array, rows, cols):
        self.vector, self.rows, self.cols = VectorType(array), rows, cols
        super().__init__(name=f"tile({self.vector}, {rows}, {cols})")


NUMBERS = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}


def _llvm(vector):
    return ir.VectorType(NUMBERS[vector.dtype], vector.lanes)


def _suffix(vector):
    return f"v{vector.lanes}f{vector.dtype.bitwidth}"


register_model(Halves)(models.ArrayModel)


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _llvm(fe_type))


@register_model(TileType)
class _TileModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _llvm(fe_type.vector).as_pointer())


def _call(builder, name, result, args):
    signature = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, signature, name), args)


def _splat(builder, scalar, lanes):
    kind = ir.VectorType(scalar.type, lanes)
    undefined = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(INT32, 0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(INT32, lanes), [0] * lanes))


def _address(context, builder, sig, args):
    """The address of A[row, col], as that of a vector."""
    # Numba's own way, `make_array`, puts the array on the stack: LLVM would take longer to see through that.
    model = context.data_model_manager[sig.args[0]]
    data, shape = (builder.extract_value(args[0], model.get_field_position(name)) for name in ("data", "shape"))
    row, col = (
        context.cast(builder, value, kind, types.intp) for value, kind in zip(args[1:3], sig.args[1:3], strict=True)
    )
    place = builder.add(builder.mul(row, builder.extract_value(shape, 1)), col)
    return builder.bitcast(builder.gep(data, [place], inbounds=True), _llvm(VectorType(sig.args[0])).as_pointer())


def _mask(context, builder, count, count_type, lanes):
    """The mask whose first `count` lanes are on."""
    count = context.cast(builder, count, count_type, types.int32)
    numbers = ir.Constant(ir.VectorType(INT32, lanes), list(range(lanes)))
    return builder.icmp_signed("<", numbers, _splat(builder, count, lanes))


@intrinsic
def lanes(typingctx, array):
    """How many numbers of the dtype of `array` one vector holds: a compile-time constant."""
    count = VectorType(array).lanes

    def codegen(context, builder, sig, args):
        return ir.Constant(INT64, count)

    return types.int64(array), codegen


@intrinsic
def load(typingctx, array, row, col):
    """The vector at array[row, col : col + lanes]."""

    def codegen(context, builder, sig, args):
        return builder.load(_address(context, builder, sig, args), align=array.dtype.bitwidth // 8)

    return VectorType(array)(array, row, col), codegen


@intrinsic
def store(typingctx, array, row, col, value):
    """array[row, col : col + lanes] = value."""

    def codegen(context, builder, sig, args):
        builder.store(args[3], _address(context, builder, sig, args), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, row, col, value), codegen


@intrinsic
def load_first(typingctx, array, row, col, count):
    """The vector at array[row, col : col + count]; its other lanes are zero, and are not read."""
    vector = VectorType(array)

    def codegen(context, builder, sig, args):
        kind = _llvm(vector)
        return _call(
            builder,
            f"llvm.masked.load.{_suffix(vector)}.p0",
            kind,
            [
                _address(context, builder, sig, args),
                ir.Constant(INT32, vector.dtype.bitwidth // 8),
                _mask(context, builder, args[3], count, vector.lanes),
                ir.Constant(kind, [0.0] * vector.lanes),
            ],
        )

    return vector(array, row, col, count), codegen


@intrinsic
def store_first(typingctx, array, row, col, count, value):
    """array[row, col : col + count] = the first lanes of value."""

    def codegen(context, builder, sig, args):
        _call(
            builder,
            f"llvm.masked.store.{_suffix(value)}.p0",
            ir.VoidType(),
            [
                args[4],
                _address(context, builder, sig, args),
                ir.Constant(INT32, value.dtype.bitwidth // 8),
                _mask(context, builder, args[3], count, value.lanes),
            ],
        )
        return context.get_dummy_value()

    return types.void(array, row, col, count, value), codegen


@intrinsic
def stream(typingctx, array, row, col, value):
    """array[row, col : col + lanes] = value, past the caches, for what other cores will read.

    The address must be a multiple of the size of a vector.  A store to a line that others have read waits until they
    let go of it; this does not.  It is ordered by the next atomic operation, not before.
    """

    def codegen(context, builder, sig, args):
        instruction = builder.store(args[3], _address(context, builder, sig, args), align=REGISTER_BYTES)
        instruction.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(INT32, 1)]))
        return context.get_dummy_value()

    return types.void(array, row, col, value), codegen


@intrinsic
def half(typingctx, array):
    """The same array, taken in vectors of half a register: for ends of rows that are no longer than that.

    Half a register takes half the time where the processor works through a whole one in two turns.  Registers of less
    than 64 bytes are not halved.
    """
    kind = Halves(array) if REGISTER_BYTES == 64 else array

    def codegen(context, builder, sig, args):
        return args[0]

    return kind(array), codegen


@intrinsic
def splat(typingctx, array, number):
    """The vector that holds one number in every lane, of the dtype of `array`."""
    vector = VectorType(array)

    def codegen(context, builder, sig, args):
        return _splat(builder, args[1], vector.lanes)

    return vector(array, number), codegen


@intrinsic(prefer_literal=True)
def splats(typingctx, array, numbers, n):
    """The first n numbers of an array as vectors, as a tuple; n is a constant."""
    vector, n = VectorType(array), n.literal_value

    def codegen(context, builder, sig, args):
        data = context.make_array(sig.args[1])(context, builder, args[1]).data
        places = (builder.gep(data, [ir.Constant(INT64, i)], inbounds=True) for i in range(n))
        return context.make_tuple(
            builder, sig.return_type, [_splat(builder, builder.load(place), vector.lanes) for place in places]
        )

    return types.Tuple([vector] * n)(array, numbers, types.literal(n)), codegen


@intrinsic(prefer_literal=True)
def first_numbers(typingctx, numbers, n):
    """The first n numbers of an array, as a tuple; n is a constant."""
    n = n.literal_value

    def codegen(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        places = (builder.gep(data, [ir.Constant(INT64, i)], inbounds=True) for i in range(n))
        return context.make_tuple(builder, sig.return_type, [builder.load(place) for place in places])

    return types.Tuple([numbers.dtype] * n)(numbers, types.literal(n)), codegen


@intrinsic
def zero(typingctx, array):
    """The vector of zeros, of the dtype of `array`."""
    vector = VectorType(array)

    def codegen(context, builder, sig, args):
        return ir.Constant(_llvm(vector), [0.0] * vector.lanes)

    return vector(array), codegen


@intrinsic
def fma(typingctx, a, b, c):
    """a * b + c, of vectors or numbers.

    llvm.fmuladd, not llvm.fma: the latter is a library call where there is no FMA unit.
    """
    kind, suffix = (_llvm(a), _suffix(a)) if isinstance(a, VectorType) else (NUMBERS[a], f"f{a.bitwidth}")

    def codegen(context, builder, sig, args):
        return _call(builder, f"llvm.fmuladd.{suffix}", kind, args)

    return a(a, b, c), codegen


@intrinsic
def maximum(typingctx, a, b):
    """The larger of a and b, lane by lane; a NaN in a goes on to the result."""

    def codegen(context, builder, sig, args):
        smaller = builder.fcmp_ordered("<", args[0], args[1])
        return builder.select(smaller, args[1], args[0])

    return a(a, b), codegen


@intrinsic
def where_positive(typingctx, a, x):
    """x in the lanes where a > 0, elsewhere 0."""

    def codegen(context, builder, sig, args):
        zero = ir.Constant(_llvm(a), [0.0] * a.lanes)
        return builder.select(builder.fcmp_ordered(">", args[0], zero), args[1], zero)

    return a(a, x), codegen


@intrinsic
def folds(typingctx, array):
    """Over how many rows of `array` a vector of `load_folded` goes: a compile-time constant."""
    count = min(FOLDS, VectorType(array).lanes)

    def codegen(context, builder, sig, args):
        return ir.Constant(INT64, count)

    return types.int64(array), codegen


@intrinsic
def load_folded(typingctx, array, row, col, count):
    """For few columns, `folds` rows in one vector: lane e * folds + f is array[row + f, col + e].

    There are `count` rows; the last one stands for others.
    """
    vector = VectorType(array)
    folds = min(FOLDS, vector.lanes)
    part = ir.VectorType(NUMBERS[array.dtype], vector.lanes // folds)

    def codegen(context, builder, sig, args):
        row, col, count = (
            context.cast(builder, value, kind, types.intp) for value, kind in zip(args[1:], sig.args[1:], strict=True)
        )
        last, parts = builder.sub(count, ir.Constant(count.type, 1)), []
        for f in range(folds):
            f = ir.Constant(count.type, f)
            below = builder.select(builder.icmp_signed("<", f, last), f, last)
            place = _address(
                context, builder, types.void(array, types.intp, types.intp), (args[0], builder.add(row, below), col)
            )
            parts.append(builder.load(builder.bitcast(place, part.as_pointer()), align=array.dtype.bitwidth // 8))
        while len(parts) > 1:
            width = 2 * parts[0].type.count
            both = ir.Constant(ir.VectorType(INT32, width), list(range(width)))
            parts = [builder.shuffle_vector(*pair, both) for pair in zip(parts[::2], parts[1::2], strict=True)]
        order = [f * (vector.lanes // folds) + e for e in range(vector.lanes // folds) for f in range(folds)]
        return builder.shuffle_vector(parts[0], parts[0], ir.Constant(ir.VectorType(INT32, vector.lanes), order))

    return vector(array, row, col, count), codegen


@intrinsic
def splat_folded(typingctx, array, row, col, count):
    """What goes with `load_folded`: lane e * folds + f is array[row, col + f]; from `count` on it is zero."""
    vector = VectorType(array)
    folds, bits = min(FOLDS, vector.lanes), array.dtype.bitwidth

    def codegen(context, builder, sig, args):
        part = ir.VectorType(NUMBERS[array.dtype], folds)
        numbers = _call(
            builder,
            f"llvm.masked.load.v{folds}f{bits}.p0",
            part,
            [
                builder.bitcast(_address(context, builder, sig, args), part.as_pointer()),
                ir.Constant(INT32, bits // 8),
                _mask(context, builder, args[3], count, folds),
                ir.Constant(part, [0.0] * folds),
            ],
        )
        order = ir.Constant(ir.VectorType(INT32, vector.lanes), [lane % folds for lane in range(vector.lanes)])
        return builder.shuffle_vector(numbers, numbers, order)

    return vector(array, row, col, count), codegen


@intrinsic
def unfold(typingctx, a, b):
    """The sums over the folds: those of a, then those of b, then zeros."""
    n = a.lanes

    def codegen(context, builder, sig, args):
        (a, b), nothing, folds = args, ir.Constant(args[0].type, [0.0] * n), min(FOLDS, n)
        even, odd = (ir.Constant(ir.VectorType(INT32, n), list(range(start, 2 * n, 2))) for start in (0, 1))
        while folds > 1:
            a, b = builder.fadd(builder.shuffle_vector(a, b, even), builder.shuffle_vector(a, b, odd)), nothing
            folds //= 2
        return a

    return a(a, b), codegen


def _number(context, builder, sig, args, bits):
    """The address of the number array[row, col], as that of an integer."""
    return builder.bitcast(_address(context, builder, sig, args), ir.IntType(bits).as_pointer())


@intrinsic
def store_signs(typingctx, array, row, col, a):
    """In the place of the number array[row, col], a bit for each lane of a: whether it is positive."""

    def codegen(context, builder, sig, args):
        zero = ir.Constant(_llvm(a), [0.0] * a.lanes)
        bits = builder.bitcast(builder.fcmp_ordered(">", args[3], zero), ir.IntType(a.lanes))
        if a.lanes < 8:
            bits = builder.zext(bits, INT8)
        builder.store(bits, _number(context, builder, sig, args, max(8, a.lanes)))
        return context.get_dummy_value()

    return types.void(array, row, col, a), codegen


@intrinsic
def add_where(typingctx, array, row, col, a, b):
    """a + b in the lanes for which `store_signs` has put a bit to array[row, col], elsewhere a."""

    def codegen(context, builder, sig, args):
        bits = _splat(builder, builder.load(_number(context, builder, sig, args, a.dtype.bitwidth)), a.lanes)
        of_lanes = ir.Constant(bits.type, [1 << lane for lane in range(a.lanes)])
        mask = builder.icmp_unsigned("!=", builder.and_(bits, of_lanes), ir.Constant(bits.type, [0] * a.lanes))
        if REGISTER_BYTES == 64:  # an addition has a mask; elsewhere a multiply-add is cheaper
            return builder.select(mask, builder.fadd(args[3], args[4]), args[3])
        one, nothing = (ir.Constant(_llvm(a), [number] * a.lanes) for number in (1.0, 0.0))
        return _call(
            builder, f"llvm.fmuladd.{_suffix(a)}", _llvm(a), [builder.select(mask, one, nothing), args[4], args[3]]
        )

    return a(array, row, col, a, b), codegen


@intrinsic
def sum_lanes(typingctx, a):
    """The sum of the numbers of a vector, always in the same order."""

    def codegen(context, builder, sig, args):
        half, value = a.lanes, args[0]
        while half > 1:
            half //= 2
            low, high = (
                builder.shuffle_vector(
                    value, value, ir.Constant(ir.VectorType(INT32, half), list(range(start, start + half)))
                )
                for start in (0, half)
            )
            value = builder.fadd(low, high)
        return builder.extract_element(value, ir.Constant(INT32, 0))

    return a.dtype(a), codegen


#: A product and a sum may be rounded once, together.
FLAGS = ("contract",)


@infer_global(operator.add)
@infer_global(operator.sub)
@infer_global(operator.mul)
@infer_global(operator.truediv)
class _Arithmetic(AbstractTemplate):
    def generic(self, args, kws):
        if isinstance(args[0], VectorType) and args[0] == args[1]:
            return signature(args[0], *args)
        return None


@lower_builtin(operator.add, VectorType, VectorType)
def _add(context, builder, sig, args):
    return builder.fadd(*args, flags=FLAGS)


@lower_builtin(operator.sub, VectorType, VectorType)
def _sub(context, builder, sig, args):
    return builder.fsub(*args, flags=FLAGS)


@lower_builtin(operator.mul, VectorType, VectorType)
def _mul(context, builder, sig, args):
    return builder.fmul(*args, flags=FLAGS)


@lower_builtin(operator.truediv, VectorType, VectorType)
def _div(context, builder, sig, args):
    return builder.fdiv(*args, flags=FLAGS)


@intrinsic
def sqrt(typingctx, a):
    """The square root, lane by lane."""

    def codegen(context, builder, sig, args):
        return _call(builder, f"llvm.sqrt.{_suffix(a)}", _llvm(a), args)

    return a(a), codegen


@intrinsic
def rolled(typingctx):
    """Keep LLVM from unrolling the loop that this stands in: a tile fills the registers, and two would spill.

    It is an empty instruction that is declared convergent, and an unrolled loop would need a second copy of it.
    """

    def codegen(context, builder, sig, args):
        nothing = ir.InlineAsm(ir.FunctionType(ir.VoidType(), []), "", "", side_effect=True)
        builder.call(nothing, [], attrs=("convergent", "nounwind"))
        return context.get_dummy_value()

    return types.void(), codegen


def _scales(builder, vector, key, rows, units, dropped, scale):
    """A vector of scales or zeros, by 32 random bits each: multiples of rows and units, mixed (Wellons 2018)."""
    kind = ir.VectorType(INT32, vector.lanes)

    def number(n):
        return ir.Constant(kind, [n] * vector.lanes)

    def low(n):
        return _splat(builder, builder.trunc(n, INT32), vector.lanes)

    def shifted(x, n):
        return builder.xor(x, builder.lshr(x, number(n)))

    x = builder.add(low(key), builder.mul(rows, number(0x9E3779B1)))
    x = builder.mul(shifted(builder.add(x, builder.mul(units, number(0x85EBCA77))), 16), number(0x21F0AAAD))
    high = low(builder.lshr(key, ir.Constant(key.type, 32)))
    # His last shift is left out: it changes the low bits, which count for nothing in a comparison.
    x = builder.mul(builder.add(shifted(x, 15), high), number(0xD35A2D97))
    zeros = ir.Constant(_llvm(vector), [0.0] * vector.lanes)
    return builder.select(builder.icmp_unsigned(">=", x, low(dropped)), _splat(builder, scale, vector.lanes), zeros)


@intrinsic
def scales_of_units(typingctx, array, key, row, unit, dropped, scale):
    """Scale or 0 for an example and the units from this one on: see `products.dropout`."""
    vector = VectorType(array)

    def codegen(context, builder, sig, args):
        _, key, row, unit, dropped, scale = args
        numbers = ir.Constant(ir.VectorType(INT32, vector.lanes), list(range(vector.lanes)))
        units = builder.add(_splat(builder, builder.trunc(unit, INT32), vector.lanes), numbers)
        rows = _splat(builder, builder.trunc(row, INT32), vector.lanes)
        return _scales(builder, vector, key, rows, units, dropped, scale)

    return vector(array, types.uint64, types.int64, types.int64, types.int64, array.dtype), codegen


@intrinsic
def scales_of_rows(typingctx, array, key, rows, place, count, unit, dropped, scale):
    """Scale or 0 for the examples rows[place : place + count], and a unit."""
    vector = VectorType(array)

    def codegen(context, builder, sig, args):
        _, key, rows, place, count, unit, dropped, scale = args
        data = context.make_array(sig.args[2])(context, builder, rows).data
        kind = ir.VectorType(INT64, vector.lanes)
        found = _call(
            builder,
            f"llvm.masked.load.v{vector.lanes}i64.p0",
            kind,
            [
                builder.bitcast(builder.gep(data, [place], inbounds=True), kind.as_pointer()),
                ir.Constant(INT32, 8),
                _mask(context, builder, count, types.int64, vector.lanes),
                ir.Constant(kind, [0] * vector.lanes),
            ],
        )
        units = _splat(builder, builder.trunc(unit, INT32), vector.lanes)
        narrow = builder.trunc(found, ir.VectorType(INT32, vector.lanes))
        return _scales(builder, vector, key, narrow, units, dropped, scale)

    whole = (types.int64,) * 4
    return vector(array, types.uint64, rows, *whole, array.dtype), codegen


def _is_arm():
    return TRIPLE.startswith(ARM)


def _read_mode(builder, place):
    if _is_arm():
        return _call(builder, "llvm.aarch64.get.fpcr", INT64, [])
    _call(builder, "llvm.x86.sse.stmxcsr", ir.VoidType(), [builder.bitcast(place, INT8.as_pointer())])
    return builder.zext(builder.load(place), INT64)


def _write_mode(builder, place, mode):
    if _is_arm():
        _call(builder, "llvm.aarch64.set.fpcr", ir.VoidType(), [mode])
    else:
        builder.store(builder.trunc(mode, INT32), place)
        _call(builder, "llvm.x86.sse.ldmxcsr", ir.VoidType(), [builder.bitcast(place, INT8.as_pointer())])


@intrinsic
def flush_subnormals(typingctx):
    """From now on subnormal numbers are zeros to this thread; returns the mode to go back to, by `restore_mode`.

    Moments of units that no example reaches decay into them, and arithmetic with them takes up to 100 times as long.
    """

    def codegen(context, builder, sig, args):
        place = cgutils.alloca_once(builder, INT32)
        mode = _read_mode(builder, place)
        flush = 1 << 24 if _is_arm() else 0x8040  # FZ; or FTZ and DAZ
        _write_mode(builder, place, builder.or_(mode, ir.Constant(INT64, flush)))
        return mode

    return types.int64(), codegen


@intrinsic
def restore_mode(typingctx, mode):
    """Undo `flush_subnormals`."""

    def codegen(context, builder, sig, args):
        _write_mode(builder, cgutils.alloca_once(builder, INT32), args[0])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic(prefer_literal=True)
def tile(typingctx, array, rows, cols):
    """A rows x cols block of vectors, of the dtype of `array`, on the stack; rows and cols are constants."""
    kind = TileType(array, rows.literal_value, cols.literal_value)

    def codegen(context, builder, sig, args):
        vector = _llvm(kind.vector)
        with builder.goto_entry_block():
            block = builder.alloca(ir.ArrayType(vector, kind.rows * kind.cols))
        return builder.bitcast(block, vector.as_pointer())

    return kind(array, rows, cols), codegen


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    def generic(self, args, kws):
        if isinstance(args[0], TileType):
            return signature(args[0].vector, args[0], types.UniTuple(types.intp, 2))
        return None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    def generic(self, args, kws):
        if isinstance(args[0], TileType):
            return signature(types.none, args[0], types.UniTuple(types.intp, 2), args[0].vector)
        return None


def _element(builder, tile_type, block, index):
    row, col = cgutils.unpack_tuple(builder, index)
    cols = ir.Constant(row.type, tile_type.cols)
    return builder.gep(block, [builder.add(builder.mul(row, cols), col)], inbounds=True)


@lower_builtin(operator.getitem, TileType, types.UniTuple)
def _get(context, builder, sig, args):
    return builder.load(_element(builder, sig.args[0], *args))


@lower_builtin(operator.setitem, TileType, types.UniTuple, VectorType)
def _set(context, builder, sig, args):
    builder.store(args[2], _element(builder, sig.args[0], *args[:2]))
    return context.get_dummy_value()


@intrinsic
def square(typingctx, array):
    """A tile of lanes(array) rows and one column: as many numbers across as down."""
    kind = TileType(array, VectorType(array).lanes, 1)

    def codegen(context, builder, sig, args):
        with builder.goto_entry_block():
            block = builder.alloca(ir.ArrayType(_llvm(kind.vector), kind.rows))
        return builder.bitcast(block, _llvm(kind.vector).as_pointer())

    return kind(array), codegen


def _exchange(n, step):
    """Shuffles of two rows that exchange the off-diagonal quarters of all their 2 step x 2 step blocks."""
    upper = [lane if not lane & step else n + lane - step for lane in range(n)]
    lower = [lane + step if not lane & step else n + lane for lane in range(n)]
    return (ir.Constant(ir.VectorType(INT32, n), mask) for mask in (upper, lower))


@intrinsic
def transpose_square(typingctx, t):
    """Exchange rows and lanes of a square tile, in log2(lanes) rounds of shuffles."""

    def codegen(context, builder, sig, args):
        n = t.rows
        places = [builder.gep(args[0], [ir.Constant(INT32, r)], inbounds=True) for r in range(n)]
        rows = [builder.load(place) for place in places]
        step = 1
        while step < n:
            upper, lower = _exchange(n, step)
            for r in range(n):
                if not r & step:
                    a, b = rows[r], rows[r + step]
                    rows[r] = builder.shuffle_vector(a, b, upper)
                    rows[r + step] = builder.shuffle_vector(a, b, lower)
            step *= 2
        for place, row in zip(places, rows, strict=True):
            builder.store(row, place)
        return context.get_dummy_value()

    return types.void(t), codegen


@intrinsic
def sum_rows(typingctx, t):
    """The vector whose lane r is the sum of row r of a square tile: all sums at once, in log2(lanes) rounds.

    3 n instructions for n sums, where `sum_lanes` takes 3 log2(n) for one.
    """

    def codegen(context, builder, sig, args):
        n = t.rows
        rows = [builder.load(builder.gep(args[0], [ir.Constant(INT32, r)], inbounds=True)) for r in range(n)]
        step = n // 2
        while step:
            # Of rows r and r + step, one vector: sums of the former where the bit `step` of the lane is off.
            upper, lower = _exchange(n, step)
            rows = [
                builder.fadd(
                    builder.shuffle_vector(rows[r], rows[r + step], upper),
                    builder.shuffle_vector(rows[r], rows[r + step], lower),
                )
                for r in range(step)
            ]
            step //= 2
        return rows[0]

    return t.vector(t), codegen


@intrinsic
def lane(typingctx, a, i):
    """The number in lane i."""

    def codegen(context, builder, sig, args):
        return builder.extract_element(args[0], args[1])

    return a.dtype(a, i), codegen


def _prefetch(array, row, col, locality, to_write=0):
    def codegen(context, builder, sig, args):
        address = builder.bitcast(_address(context, builder, sig, args), INT8.as_pointer())
        _call(
            builder,
            "llvm.prefetch.p0",
            ir.VoidType(),
            [address, *(ir.Constant(INT32, flag) for flag in (to_write, locality, 1))],
        )  # 1: data
        return context.get_dummy_value()

    return types.void(array, row, col), codegen


@intrinsic
def prefetch(typingctx, array, row, col):
    """Ask for the cache line of array[row, col], which will be read soon."""
    return _prefetch(array, row, col, 3)


@intrinsic
def prefetch_early(typingctx, array, row, col):
    """Ask for the cache line of array[row, col], which will be read later: no further than to the second cache."""
    return _prefetch(array, row, col, 2)


@intrinsic
def prefetch_to_write(typingctx, array, row, col):
    """Ask for the cache line of array[row, col], which other cores have read, and which will be written soon.

    It is theirs too until a write asks for it, and many such writes one after the other wait for each other.
    """
    return _prefetch(array, row, col, 3, to_write=1)


def array_at(context, builder, kind, data, *shape):
    """A C-contiguous array of this shape at an address."""
    itemsize = context.get_constant(types.intp, kind.dtype.bitwidth // 8)
    view = context.make_array(kind)(context, builder)
    view.meminfo = cgutils.get_null_value(view.meminfo.type)
    view.parent = cgutils.get_null_value(view.parent.type)
    view.itemsize, view.data = itemsize, data
    strides, size = [itemsize], context.get_constant(types.intp, 1)
    for n in reversed(shape):
        size = builder.mul(size, n)
        strides.insert(0, builder.mul(strides[0], n))
    view.nitems = size
    view.shape, view.strides = cgutils.pack_array(builder, list(shape)), cgutils.pack_array(builder, strides[1:])
    return view._getvalue()


@intrinsic
def matrix(typingctx, flat, offset, rows, cols):
    """flat[offset : offset + rows * cols] as a (rows, cols) array: a view that costs nothing.

    It does not keep `flat` alive; within a kernel the caller does.
    """
    kind = types.Array(flat.dtype, 2, "C", readonly=not flat.mutable)

    def codegen(context, builder, sig, args):
        source = context.make_array(flat)(context, builder, args[0])
        offset, rows, cols = (
            context.cast(builder, value, from_type, types.intp)
            for value, from_type in zip(args[1:], sig.args[1:], strict=True)
        )
        return array_at(context, builder, kind, builder.gep(source.data, [offset], inbounds=True), rows, cols)

    return kind(flat, offset, rows, cols), codegen


@intrinsic
def matrix_at(typingctx, like, address, rows, cols):
    """The (rows, cols) array of the dtype of `like` at this address: for as many arrays as a network has layers."""
    kind = types.Array(like.dtype, 2, "C", readonly=True)

    def codegen(context, builder, sig, args):
        address, rows, cols = (
            context.cast(builder, value, from_type, types.intp)
            for value, from_type in zip(args[1:], sig.args[1:], strict=True)
        )
        place = builder.inttoptr(address, context.get_data_type(kind.dtype).as_pointer())
        return array_at(context, builder, kind, place, rows, cols)

    return kind(like, address, rows, cols), codegen
