"""Where machine code runs: the processor, and whether code that is kept can be loaded there without Numba.

To import Numba takes ten times as long as to load what a fit needs, and 22 MiB.  So a process that has nothing to
compile does without: `needs_numba` decides.
"""

import importlib.machinery
import os
import platform
import re
import sys
import threading
from contextlib import suppress
from functools import cache
from importlib import import_module
from types import ModuleType

import llvmlite
import llvmlite.binding as llvm

#: The versions of Numba whose code is known to run without it: what it calls, and how it is called.
KNOWN = re.compile(r"0\.68\.")
#: Whether object files are ELF files of 64 bits, which `code` can read.
HAS_ELF = sys.platform.startswith("linux") and platform.machine() in ("x86_64", "aarch64")
#: Variables of Numba's that decide nothing in the machine code, and those that are understood here.
HARMLESS = {"NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR", "NUMBA_THREADING_LAYER", "NUMBA_DISABLE_JIT"}
HARMLESS |= {"NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES"}
#: Where Numba leaves out AVX, whatever the processor has.
WITHOUT_AVX = {"corei7-avx", "core-avx-i", "sandybridge", "ivybridge", "nocona"}
#: Numba's settings that decide the machine code, and what they usually are.
SETTINGS = {
    "OPT": "_OptLevel(3)",
    "LOOP_VECTORIZE": "1",
    "SLP_VECTORIZE": "0",
    "BOUNDSCHECK": "None",
    "DEBUGINFO_DEFAULT": "0",
    "EXTEND_VARIABLE_LIFETIMES": "0",
    "LLVM_REFPRUNE_PASS": "1",
    "LLVM_REFPRUNE_FLAGS": "'all'",
    "DEBUG_NRT": "0",
    "PARFOR_MAX_TUPLE_SIZE": "100",
}


@cache
def numba_version() -> str:
    """The version of Numba, which is not imported for it unless there is no other way."""
    try:
        with open(os.path.join(numba_folder(), "_version.py")) as file:
            return re.search(r'"version": "([^"]+)"', file.read()).group(1)
    except (AttributeError, OSError):  # it lies in an archive, or in a frozen application
        return imported("numba").__version__


def numba_folder() -> str:
    """Where Numba lies; "" if that is no folder."""
    spec = importlib.machinery.PathFinder.find_spec("numba")
    return next(iter(spec.submodule_search_locations or []), "") if spec else ""


def is_numba_here() -> bool:
    """Whether this process has imported Numba."""
    return sys.modules.get("numba") is not None


def imported(name: str) -> ModuleType:
    """A module that imports Numba: in a thread of its own, because an interrupt would leave Numba half imported."""

    def import_it() -> None:
        with suppress(BaseException):  # which is raised below
            import_module(name)

    with suppress(RuntimeError):  # at the end of the interpreter there are no new threads
        thread = threading.Thread(target=import_it)
        thread.start()
        thread.join()
    return import_module(name)


def needs_numba() -> bool:
    """Whether Numba has to be imported before machine code is loaded.

    So it is where this process has done so; where it may change what is compiled; and where it is not known how its
    code is loaded without it.
    """
    return (
        is_numba_here()
        or not HAS_ELF
        or not KNOWN.match(numba_version())
        or any(name.startswith("NUMBA_") and name not in HARMLESS for name in os.environ)
        or os.path.exists(".numba_config.yaml")
        or _name() in WITHOUT_AVX
    )


def _name() -> str:
    return os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()


def _features() -> str:
    usual = "" if _name().lower() == "generic" else llvm.get_host_cpu_features().flatten()
    return os.environ.get("NUMBA_CPU_FEATURES", usual)


def settings() -> str:
    """What of Numba's settings is not as usual.  A program may change them at any time."""
    if not is_numba_here():
        return ""
    from numba.core import config

    now = {name: repr(getattr(config, name, None)) for name in SETTINGS}
    return " ".join(f"{name}={value}" for name, value in now.items() if value != SETTINGS[name])


def _processor() -> tuple[str, str, str]:
    """The triple, the name and the features of the processor that code is compiled for."""
    if needs_numba():
        return imported("numba.core.registry").cpu_target.target_context.codegen().magic_tuple()
    llvm.initialize_native_target()
    return llvm.get_process_triple(), _name(), _features()


PROCESSOR = TRIPLE, NAME, FEATURES = _processor()
#: All that decides the machine code besides the kernels and the settings.
VERSIONS = f"{numba_version()} {llvmlite.__version__} {sys.version} {sys.flags.optimize} {' '.join(PROCESSOR)}"


#: How the names of targets begin that are 64-bit Arm.
ARM = "aarch64", "arm64"


def _register() -> tuple[int, int]:
    """Bytes of one SIMD register, and how many registers there are."""
    enabled = set(FEATURES.split(","))
    if "+avx512f" in enabled:
        return 64, 32
    if "+avx2" in enabled:
        return 32, 16
    return 16, 32 if TRIPLE.startswith(ARM) else 16


REGISTER_BYTES, REGISTERS = _register()
#: Rows and columns (in vectors) of the tile that the products accumulate in: with a row of operands and
#: one broadcast it fills the registers.  Columns are examples, and are shared out among the threads by as many: so
#: they are few where a vector is long.
ROWS, COLS = (12, 2) if REGISTER_BYTES == 64 else (6, 4) if REGISTERS == 32 else (6, 2)
#: Whether parameters that other cores will read had better go past the caches (see `simd.stream`): on AMD's processors.
#: A store to a line that another core has read takes 7 to 30 ns on Zen 3 and 19 on Zen 4, 3 past the caches; on a Xeon
#: with AVX-512 3, and 5 past.
STREAMS = NAME.startswith("znver")
#: And transposed activations: not on Zen 4, where steps take 1 to 5 % longer for it.
STREAMS_A_T = NAME in ("znver1", "znver2", "znver3")
