"""Machine code, from files to addresses: without Numba, as long as all of it is kept.

An object file defines what its symbol stands for, and calls units by theirs: what is loaded together is what an entry
calls, and what that calls.  LLVM's linker takes an unknown name for the address 0; so each name that a file does not
define must be a unit, or one that is known to be there.

    symbol            the function, called by kernels
    symbol.python     the same for Python, if it is an entry
    symbol.c          the same for C, if it is to be called from there
    symbol.env        a word in which `symbol.python` expects an object of Numba's
"""

import ctypes
import functools
import importlib.machinery
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterable
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np

from fastnn.kernels.machine import cache, host
from fastnn.kernels.machine.kinds import Kind, kind_of

#: Numba's helpers that code may call; they come from C, and need nothing of its Python.
HELPERS = {
    *("adapt_ndarray", "do_raise", "gil_ensure", "gil_release", "runtime_build_excinfo_struct", "unpickle"),
    *(name + letter for letter in ("", "f") for name in ("fixed_fmod", "frexp", "gamma", "ldexp", "lgamma")),
    *("nextafter", "nextafterf"),
}
#: And functions of the C library.
OF_C = {
    *("memcpy", "memmove", "memset", "sched_yield"),
    *(
        name + letter
        for letter in ("", "f")
        for name in (
            "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs floor "
            "fmod frexp hypot ldexp lgamma log log10 log1p log2 pow rint round sin sincos sinh sqrt tan tanh tgamma "
            "nextafter trunc"
        ).split()
    ),
}
#: How the symbols of units begin.
PREFIX = __name__.partition(".")[0] + "."
#: How often it is tried to load what was compiled: somebody may delete the files meanwhile.
TURNS = 4
#: Who is told the name of an entry, or of a unit, before it is compiled: see `fastnn.progress`.
WATCHERS: list[Callable[[str], object]] = []
#: Object code that was compiled in this process, until it is loaded.
MADE: dict[str, bytes] = {}


class Code(NamedTuple):
    """What is known of machine code that is loaded."""

    address: int
    call: Any  # it, from Python; None, if it is no entry
    c_address: int  # and for C, 0 if there is none
    engine: Any  # whose memory it is in


class _CannotLoad(RuntimeError):
    """There is no machine code, or it calls what is not known."""


class Entry:
    """A kernel that Python calls: its machine code is loaded, or compiled, when it is first called for some kinds.

    Parameters
    ----------
    name : str
        The kernel's, with its module.
    """

    def __init__(self, name: str) -> None:
        self.full_name = name
        self.__module__, _, self.__name__ = name.rpartition(".")
        self._codes: dict[tuple[Kind, ...], Code] = {}

    def load(self, argument_kinds: tuple[Kind, ...], before: Callable[[], Iterable[Any]] = tuple) -> Code:
        """Its machine code for arguments of these kinds: see `load`."""
        code = self._codes.get(argument_kinds)
        if code is None:
            code = self._codes[argument_kinds] = load(self.full_name, argument_kinds, before)
        return code

    def like(self, *args: Any) -> Code:
        """Its machine code for arguments as these."""
        return self.load(tuple(map(kind_of, args)))

    def __call__(self, *args: Any) -> Any:
        return self.like(*args).call(*args)

    def __repr__(self) -> str:
        return f"<entry {self.full_name}>"


#: All entries that somebody knows of.
ENTRIES: dict[str, Entry] = {}


def entry_named(full_name: str) -> Entry:
    """The entry of this name, with its module: one for all who ask."""
    return ENTRIES.setdefault(full_name, Entry(full_name))


def entry(name: str) -> Entry:
    """The entry of this name, within `kernels`."""
    return entry_named(f"{PREFIX}kernels.{name}")


#: What is loaded, and what it was loaded by.
_loaded: dict[str, Code] = {}
_engines: list[Any] = []
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A child that is forked while another thread loads would have a lock that nobody opens.
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def load(name: str, argument_kinds: tuple[Kind, ...], before: Callable[[], Iterable[Any]] = tuple) -> Code:
    """The machine code of a kernel for arguments of these kinds; it is compiled where there is none to be used.

    `before` is called before that: it returns what else will be needed, (name, kinds) each, for other processes.
    """
    symbol = cache.symbol(name, argument_kinds)
    for turn in range(TURNS if symbol not in _loaded else 0):
        try:
            _load(symbol)
            break
        except _CannotLoad:
            if turn == TURNS - 1:
                raise
            jit = host.imported("fastnn.kernels.machine.jit")  # and Numba with it, and all that it knows
            jit.have(name, argument_kinds, before())
    return _loaded[symbol]


def is_there(symbol: str) -> bool:
    """Whether the object code of a symbol, and of all that it calls, can be loaded, or has been."""
    try:
        _files(symbol)
    except _CannotLoad:
        return False
    return True


def _files(symbol: str) -> dict[str, bytes]:
    """The object code of a symbol, and of all that it calls and that is not loaded yet."""
    _prepare()
    files: dict[str, bytes] = {}
    wanted = [symbol]
    while wanted:
        name = wanted.pop()
        if name in _loaded or name in files:
            continue
        kept = MADE.get(name) or cache.read(name)
        if kept is None:
            raise _CannotLoad(f"there is no machine code of {name}")
        try:
            units, files[name] = _parts(kept)
            defined, undefined = names_of(files[name]) if host.HAS_ELF else ({name}, set())
        except (IndexError, OverflowError, ValueError) as error:
            raise _CannotLoad(f"the machine code of {name} has no form that is known") from error
        strange = [other for other in undefined if other not in units and not _is_known(other)]
        if name not in defined or strange:
            raise _CannotLoad(f"the machine code of {name} is another's, or calls {strange}, which nobody knows")
        wanted += units
    return files


def together(units: Iterable[str], code: bytes) -> bytes:
    """What is kept of a symbol: the units that it calls, and its object code."""
    return " ".join(units).encode() + b"\n" + code


def _parts(kept: bytes) -> tuple[list[str], bytes]:
    units, _, code = kept.partition(b"\n")
    return units.decode().split(), code


def _load(symbol: str) -> None:
    with _lock:
        files = _files(symbol)
        # An interrupt must leave nothing that is half loaded: then the next files have an engine of their own.
        engine = _engines.pop() if _engines else _new_engine()
        for code in files.values():
            engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        codes = {name: _code(engine, name) for name in files}
        for name, code in codes.items():
            llvm.add_symbol(name, code.address)
        _loaded.update(codes)
        _engines.append(engine)
        for name in codes:
            MADE.pop(name, None)


def _code(engine: Any, symbol: str) -> Code:
    address = engine.get_function_address(symbol)
    if not address:
        raise _CannotLoad(symbol)
    call, environment = None, engine.get_global_value_address(f"{symbol}.env")
    if environment:
        of_numba = _extension("_dynfunc")
        kept = of_numba.Environment({})
        ctypes.c_void_p.from_address(environment).value = id(kept)
        for_python = engine.get_function_address(f"{symbol}.python")
        call = of_numba.make_function(sys.modules[__name__], symbol, "", for_python, kept, engine)
    return Code(address, call, engine.get_function_address(f"{symbol}.c"), engine)


def _new_engine() -> Any:
    """What loads object files: LLVM's linker, and the memory that it has put them in."""
    target = llvm.Target.from_triple(host.TRIPLE)
    machine = target.create_target_machine(cpu=host.NAME, features=host.FEATURES, codemodel="jitdefault", jit=True)
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)


def names_of(code: bytes) -> tuple[set[str], set[str]]:
    """The names that an ELF file of 64 bits defines for others, and those that it does not define."""
    if not code.startswith(b"\x7fELF\x02\x01"):
        raise ValueError("this is no ELF file")
    word = int.from_bytes
    sections = np.frombuffer(code, _SECTION, word(code[60:62], "little"), word(code[40:48], "little"))
    (table,) = sections[sections["type"] == 2]
    symbols = np.frombuffer(code, _SYMBOL, int(table["size"]) // _SYMBOL.itemsize, int(table["offset"]))
    text = code[int(sections[table["link"]]["offset"]) :]
    is_for_others, is_defined = symbols["info"] >> 4 != 0, symbols["section"] != 0
    defined, undefined = (
        {text[place : text.index(b"\0", place)].decode() for place in symbols["name"][which].tolist() if place}
        for which in (is_for_others & is_defined, ~is_defined)
    )
    return defined, undefined


_SECTION = np.dtype(
    [(name, "<u4") for name in ("name", "type")]
    + [(name, "<u8") for name in ("flags", "address", "offset", "size")]
    + [("link", "<u4"), ("info", "<u4"), ("align", "<u8"), ("entry", "<u8")]
)
_SYMBOL = np.dtype(
    [("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"), ("size", "<u8")]
)


def _is_known(name: str) -> bool:
    """Whether a name that is no unit's is one that code may call; Numba, if it is imported, has made its own known."""
    is_one = name.removeprefix("numba_") in HELPERS or name in OF_C or name.startswith(("Py", "_Py"))
    return (is_one or host.is_numba_here()) and llvm.address_of_symbol(name) is not None


_is_prepared = False


def _prepare() -> None:
    """Have LLVM know this processor, and Numba's helpers, unless Numba itself has told it."""
    global _is_prepared
    if _is_prepared:
        return
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.load_library_permanently("")  # what this process has: Python and the C library
    if host.needs_numba():
        host.imported("numba.core.registry").cpu_target.target_context.refresh()
    else:
        addresses = _extension("_helperlib").c_helpers
        for name in HELPERS:
            llvm.add_symbol(f"numba_{name}", addresses[name])
    _is_prepared = True


@functools.cache
def _extension(name: str) -> ModuleType:
    """One of Numba's extensions in C, which need nothing of its Python."""
    if host.needs_numba():
        return import_module(f"numba.{name}")
    loaders = importlib.machinery.ExtensionFileLoader, importlib.machinery.EXTENSION_SUFFIXES
    spec = importlib.machinery.FileFinder(host.numba_folder(), loaders).find_spec(name)
    if spec is None:
        raise ImportError(f"Numba's extension {name} is not in {host.numba_folder()!r}: install Numba anew")
    spec.name = spec.loader.name = f"{__package__}.{name}"  # Numba's own, if it is imported later, is another module
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
