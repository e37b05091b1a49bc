"""How kernels are compiled: by Numba, to object code.

    decorator     who calls it          its machine code
    @entry        Python                its own, kept on disk (see `cache`): compiled once per machine
    @unit         kernels, by symbol    its own, kept as well; other processes may compile it meanwhile (see `workers`)
    @kernel       kernels               a part of theirs, as a function
    @inline       kernels               a part of theirs, always inlined: the body of a tile, unrolled where called
    @part         kernels               none: a stretch of another kernel that has a name of its own
    @law          kernels               as @inline: the law of one number, so that loops over it become vectors

A unit is for what takes long to compile.  It is called by its symbol, a name made of its own and the types of its
arguments: whoever calls it is compiled without it, and loaded with it.  `call` calls by an address, which may be
another in every call.

What is compiled here is not run from here: `code` loads it, as it does in a process that has no compiler.
"""

import gc
import re
import threading
from contextlib import contextmanager, suppress
from importlib import import_module

from llvmlite import ir
from numba import _dynfunc, types
from numba.core import cgutils, config, sigutils
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompilerBase, DefaultPassBuilder
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import register_pass
from numba.core.errors import TypingError
from numba.core.registry import CPUDispatcher, cpu_target
from numba.core.typed_passes import NativeLowering
from numba.core.typing import make_concrete_template, signature
from numba.extending import intrinsic

from fastnn.kernels.machine import cache, code, host, kinds
from fastnn.kernels.machine.records import RecordType
from fastnn.kernels.machine.workers import WORKERS

#: NaN and inf keep their meaning: "nnan" and "ninf" are left out on purpose.  A kernel makes no arrays, so it needs
#: none of the reference counting, whose calls would stand in every loop.
OPTIONS = dict(error_model="numpy", nogil=True, _nrt=False, fastmath={"contract"})


class _Fragment(JITCodeLibrary):
    """The code of an inner kernel: linked into the entry that calls it, and optimised there, once and for all."""

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _FragmentLowering(NativeLowering):
    """Down to LLVM's language, and no further."""

    _name = "fragment_lowering"

    def run_pass(self, state):
        state.library = _Fragment(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        description = state.cr.fndesc
        name = _dynfunc.make_function(
            description.lookup_module(), description.qualname, "", 0, state.cr.env, (state.library,)
        )  # what callers know it by; it cannot be called
        state.targetctx.insert_user_function(name, description, [state.library])
        state.cr = state.cr._replace(cfunc=name)
        return True


#: Passes of Numba that look for what no kernel has: closures, expressions of whole arrays, `with`, `literally`.
IN_VAIN = {
    "inline_closure_likes",
    "make_function_op_code_to_jit_function",
    "nopython_rewrites",
    "with_lifting",
    "find_literally",
    "literal_unroll",
    "LiteralPropagation",
    "Rewrite dynamic raises",
}


def _pipeline(state, lowering):
    """Numba's, without what is in vain, and with this way down to LLVM."""
    passes = DefaultPassBuilder.define_nopython_pipeline(state)
    passes.passes = [
        (lowering if step is NativeLowering else step, about)
        for step, about in passes.passes
        if step._name not in IN_VAIN
    ]
    passes.finalize()
    return passes


class _FragmentCompiler(CompilerBase):
    def define_pipelines(self):
        return [_pipeline(self.state, _FragmentLowering)]


class _CalledByKernels(CPUDispatcher):
    def get_call_template(self, args, kws):
        # Numba would compile a kernel again for a literal 0: that is for LLVM to make use of, once it has inlined it.
        return super().get_call_template([types.unliteral(arg) for arg in args], kws)

    def __call__(self, *args, **kwargs):
        raise TypeError(
            f"{self.__name__} can be called by compiled code only; Python calls the entries, "
            "or an @njit function of its own that calls this"
        )


def _njit(kind, function, compiler=Compiler, **options):
    """Numba's njit, but where NUMBA_DISABLE_JIT is set, a kernel is compiled nevertheless."""
    return kind(
        function, targetoptions={"nopython": True, "boundscheck": None, **OPTIONS, **options}, pipeline_class=compiler
    )


def _inner(compiler=_FragmentCompiler, **options):
    """njit for what only kernels call: without wrappers for Python and C, and a third of the compile time."""

    def decorate(function):  # (without its wrapper, a call from Python would crash)
        return _njit(_CalledByKernels, function, compiler, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)

    return decorate


def _usual(kind):
    """The type that a unit takes an argument in: no literal, and whole numbers of one kind."""
    kind = types.unliteral(kind)
    return types.int64 if isinstance(kind, types.Integer) else kind


def type_of(kind):
    """Numba's type of a kind."""
    if isinstance(kind, str):
        is_const, dtype, dimensions, pointer = re.fullmatch(r"(const )?(\w+?)(?:\[(.*)\])?(\*)?", kind).groups()
        number = types.boolean if dtype == "bool" else getattr(types, dtype)
        if pointer:
            return types.CPointer(number)
        if dimensions is None:
            return number
        layout = "C" if dimensions.endswith("::1") else "A"
        return types.Array(number, dimensions.count(",") + 1, layout, readonly=bool(is_const))
    of, *fields = kind
    if of == "at":
        return RecordType(type_of(fields[0]))
    return types.NamedTuple([type_of(field) for field in fields], of)


def kind_of(kind):
    """The kind of what has this type of Numba's: the other way round."""
    if type(kind) is types.Array and kind.layout in "CA":
        return kinds.array(kind_of(kind.dtype), kind.ndim, kind.mutable, kind.layout == "C")
    if isinstance(kind, RecordType):
        return "at", kind_of(kind.contents)
    if isinstance(kind, types.BaseNamedTuple):
        return kind.instance_class, *map(kind_of, kind.types)
    if isinstance(kind, (types.Integer, types.Float, types.Boolean)):
        return str(kind)
    raise TypingError(f"no kernel of its own takes a {kind}")


#: The units and entries by their names; and by their symbols, the units that were called in a compilation here.
COMPILED, SYMBOLS = {}, {}


class _WithCode:
    """What has machine code of its own."""

    @property
    def full_name(self):
        return f"{self.__module__}.{self.__qualname__}"


class _Unit(_WithCode, _CalledByKernels):
    """A kernel with machine code of its own: who calls it knows its symbol, and need not wait until it is compiled."""

    is_kept = True

    def get_call_template(self, args, kws):
        pysig, args = self._compiler.fold_argument_types(args, kws)
        args = tuple(map(_usual, args))
        argument_kinds = tuple(map(kind_of, args))
        SYMBOLS[cache.symbol(self.full_name, argument_kinds)] = self.full_name, argument_kinds
        WORKERS.ask_for(self.full_name, argument_kinds)
        template = make_concrete_template(self.__name__, self.__name__, [signature(self.returns(args), *args)])
        return template, pysig, args, {}

    def get_overload(self, sig):
        args, _ = sigutils.normalize_signature(sig)
        symbol = cache.symbol(self.full_name, tuple(map(kind_of, args)))
        if symbol not in self.targetctx._defns:

            def call(context, builder, sig, values):
                kind = context.call_conv.get_function_type(sig.return_type, sig.args)
                function = cgutils.get_or_insert_function(builder.module, kind, symbol)
                return context.call_conv.call_function(builder, function, sig.return_type, sig.args, values)[1]

            call.signature, call.libs = args, ()
            self.targetctx._defns[symbol].append(call, args)
        return symbol


def unit(function=None, returns=lambda args: types.none, name=None, is_kept=True):
    """A kernel that is compiled once for all that call it, beside them, and kept.

    `returns` tells the type of its result by those of its arguments.  `name` tells units that are made of one function
    apart.  Not for what is so short that a call would take longer, and not where constants in a call decide much.
    """

    def decorate(function):
        if name is not None:
            function.__name__ = function.__qualname__ = name
        dispatcher = _njit(_Unit, function, _EntryCompiler, no_cpython_wrapper=True, no_cfunc_wrapper=True)
        dispatcher.returns, dispatcher.is_kept = returns, is_kept
        COMPILED[dispatcher.full_name] = dispatcher
        return dispatcher

    return decorate if function is None else decorate(function)


def find(name):
    """The unit or entry of this name, whose module may have to be imported."""
    if name not in COMPILED:
        import_module(name.rpartition(".")[0])
    return COMPILED[name]


def _object_code(compiled, symbol):
    """What is kept of what Numba has compiled (see `code`), and the symbols of the units that it calls."""
    description, module = compiled.fndesc, compiled.library._final_module
    names = {
        description.llvm_func_name: symbol,
        description.llvm_cpython_wrapper_name: f"{symbol}.python",
        description.llvm_cfunc_wrapper_name: f"{symbol}.c",
        compiled.target_context.get_env_name(description): f"{symbol}.env",
    }
    for defined in [*module.functions, *module.global_variables]:
        if not defined.is_declaration:
            if defined.name in names:
                defined.name = names[defined.name]
            else:  # no other file's code of this name is meant
                defined.linkage = "internal"
    called = [function.name for function in module.functions if function.name in SYMBOLS and function.is_declaration]
    return code.together(called, compiled.library.codegen._tm.emit_object(module)), called


def have(name, argument_kinds, wishes=()):
    """Have object code of a unit or an entry for arguments of these kinds, and of all that it calls.

    It is compiled if there is none; then other processes may compile what is wished for, (name, kinds) each.
    """
    with WORKERS.wish_for(wishes):
        WORKERS.finish([(name, argument_kinds)], _have)


def _have(name, argument_kinds):
    symbol = cache.symbol(name, argument_kinds)
    if code.is_there(symbol):
        return
    dispatcher = find(name)
    with _compiling(), _no_garbage_collection():
        if code.is_there(symbol):  # another thread has compiled it meanwhile
            return
        if isinstance(dispatcher, _Entry):
            for watcher in code.WATCHERS:
                watcher(dispatcher.__name__)
        with WORKERS.at_work():
            compiled = dispatcher._compiler.compile(tuple(map(type_of, argument_kinds)), None)
            made, called = _object_code(compiled, symbol)
            WORKERS.finish([SYMBOLS[unit] for unit in called], _have)
        code.MADE[symbol] = made
        # A program may have had Numba compile for another processor meanwhile.
        is_for_this = cpu_target.target_context.codegen().magic_tuple() == host.PROCESSOR
        if is_for_this and getattr(dispatcher, "is_kept", True) and not compiled.library.has_dynamic_globals:
            cache.write(symbol, made)


class _Library(JITCodeLibrary):
    """The code of an entry or a unit: object code, which is not loaded here."""

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _EntryLowering(NativeLowering):
    """Down to LLVM's language, with wrappers; and optimised."""

    _name = "entry_lowering"

    def run_pass(self, state):
        state.library = _Library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        state.library.finalize()
        return True


class _EntryCompiler(CompilerBase):
    def define_pipelines(self):
        return [_pipeline(self.state, _EntryLowering)]


kernel = _inner()
#: For the body of a tile: written once, unrolled by LLVM wherever it is called with constants.
inline = _inner(forceinline=True)
#: For a stretch of another kernel that has a name of its own: LLVM sees (and optimises) it once, there.
part = _inner(inline="always")
#: For the law of one number: loops over it become vectors where nothing is called in them.
law = _inner(forceinline=True)


INT64 = ir.IntType(64)
FRAME_FUNCTION = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])


@contextmanager
def _no_garbage_collection():
    """It would look at all that the compiler has made, again and again: a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if gc.get_freeze_count() == 0:  # nor does it right afterwards: what was made counts as old
                gc.freeze()
                gc.unfreeze()
            gc.enable()


class _OnInOtherThreads:
    """Numba's switch DISABLE_JIT while this thread compiles a kernel: what others define stays as they want it."""

    def __init__(self):
        self.compiling = threading.get_ident()

    def __bool__(self):
        return threading.get_ident() != self.compiling


@contextmanager
def _operators_resolved_once():
    """Numba tries all that it has for each `+` anew: what it found for types that it has met, it finds again.

    Nine of ten times it is so, and a tenth of the time that a kernel takes to compile.
    """
    context = cpu_target.typing_context
    if "_resolve_user_function_type" in vars(context):  # a compilation within another
        yield
        return
    resolve, found = context._resolve_user_function_type, {}

    def resolve_once(function, args, kws, literals=None):
        if kws or not isinstance(function, types.Function):
            return resolve(function, args, kws, literals)
        key = function, tuple(args), literals and tuple(literals)
        if key not in found:
            found[key] = resolve(function, args, kws, literals)
        return found[key]

    context._resolve_user_function_type = resolve_once
    try:
        yield
    finally:
        del context._resolve_user_function_type


@contextmanager
def _compiling():
    """Numba's own parts of a kernel are compiled as well, where NUMBA_DISABLE_JIT is set."""
    with global_compiler_lock, _operators_resolved_once():
        with suppress(RuntimeError):  # NUMBA_NUM_THREADS was changed too late
            config.reload_config()  # the compiler would do it, and undo what comes next
        switch = config.DISABLE_JIT
        if not switch:
            yield
            return
        config.DISABLE_JIT = _OnInOtherThreads()
        try:
            yield
        finally:
            config.DISABLE_JIT = switch


class _Entry(_WithCode, _CalledByKernels):
    """A kernel that Python calls, by `code.Entry`."""


def entry(function=None, **options):
    """Compile a function that Python calls, and keep its machine code."""

    def decorate(function):
        dispatcher = _njit(_Entry, function, _EntryCompiler, **options)
        COMPILED[dispatcher.full_name] = dispatcher
        return code.entry_named(dispatcher.full_name)

    return decorate if function is None else decorate(function)


def _call(context, builder, address, kinds, values):
    wanted = [_usual(kind) for kind in kinds]
    values = [
        context.cast(builder, value, kind, usual) for value, kind, usual in zip(values, kinds, wanted, strict=True)
    ]
    function = builder.inttoptr(address, context.call_conv.get_function_type(types.none, wanted).as_pointer())
    context.call_conv.call_function(builder, function, types.none, wanted, values)


@intrinsic
def call(typingctx, address, *args):
    """Call the machine code at `address` (see `address_of`) with arguments of the types that it was made for.

    A kernel that called the function by name would contain it, and be as long in compiling.
    """
    if any(isinstance(arg, types.Array) and arg.layout != "C" for arg in args):
        raise TypingError(f"a call by address takes C-contiguous arrays, got {args}")

    def codegen(context, builder, sig, values):
        kinds = list(sig.args[1])
        _call(context, builder, values[0], kinds, [builder.extract_value(values[1], i) for i in range(len(kinds))])
        return context.get_dummy_value()

    return types.void(address, types.StarArgTuple(args)), codegen


@intrinsic
def packed(typingctx, address, *args):
    """`call` for later: the address of a function, and of the frame that `run_frame` calls it with.

    The frame is on the stack of the caller, and lives as long.
    """

    def codegen(context, builder, sig, values):
        kinds = list(sig.args[1])
        contents = [values[0], *(builder.extract_value(values[1], i) for i in range(len(kinds)))]
        frame = cgutils.alloca_once(builder, ir.LiteralStructType([value.type for value in contents]))
        for i, value in enumerate(contents):
            builder.store(value, cgutils.gep_inbounds(builder, frame, 0, i))
        function = ir.Function(builder.module, FRAME_FUNCTION, builder.module.get_unique_name("run_packed"))
        function.linkage = "internal"
        body = ir.IRBuilder(function.append_basic_block())
        inside = body.bitcast(function.args[0], frame.type)
        number, *arguments = (body.load(cgutils.gep_inbounds(body, inside, 0, i)) for i in range(len(contents)))
        _call(context, body, number, kinds, arguments)
        body.ret_void()
        places = [builder.ptrtoint(place, INT64) for place in (function, frame)]
        return context.make_tuple(builder, sig.return_type, places)

    return types.UniTuple(types.int64, 2)(address, types.StarArgTuple(args)), codegen


@intrinsic
def run_frame(typingctx, function, frame):
    """What was `packed`."""

    def codegen(context, builder, sig, values):
        builder.call(
            builder.inttoptr(values[0], FRAME_FUNCTION.as_pointer()),
            [builder.inttoptr(values[1], FRAME_FUNCTION.args[0])],
        )
        return context.get_dummy_value()

    return types.void(function, frame), codegen


@intrinsic
def release_gil(typingctx, is_kept):
    """Let other Python threads run, unless `is_kept`: to get the GIL back from a busy one takes 5 ms.

    Returns what `take_gil` needs.
    """

    def codegen(context, builder, sig, values):
        place = cgutils.alloca_once_value(builder, ir.Constant(INT64, 0))
        with builder.if_then(builder.not_(values[0])):
            builder.store(builder.ptrtoint(context.get_python_api(builder).save_thread(), INT64), place)
        return builder.load(place)

    return types.int64(types.boolean), codegen


@intrinsic
def take_gil(typingctx, state):
    """The end of `release_gil`."""

    def codegen(context, builder, sig, values):
        with builder.if_then(builder.icmp_unsigned("!=", values[0], ir.Constant(INT64, 0))):
            api = context.get_python_api(builder)
            api.restore_thread(builder.inttoptr(values[0], api.voidptr))
        return context.get_dummy_value()

    return types.void(types.int64), codegen
