#!/usr/bin/env bash
# llvmlite 0.50.0: an object file whose names nobody defines is loaded without a word, and each such name is address 0.
#
# `ExecutionEngine.finalize_object` "makes sure all modules are fully processed and usable for execution": of a name
# that is nowhere it says nothing, and what refers to it refers to 0.  (LLVM's own tools stop with "could not be
# resolved".)  So whoever loads kept machine code has to look at its undefined names himself.
#
# To ask `address_of_symbol` for them is no help at first: it finds neither C's nor Python's functions, although they
# are in the process and machine code that calls them works.  It does after the first engine was made, or after
# `load_library_permanently("")`.
#
#   before an engine    malloc None, PyLong_FromLong None
#   with one            both found
#   the unknown name    0
#
# Ends with status 1 if it does anything else.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet llvmlite==0.50.0
cd "$work"
venv/bin/python - <<'PYTHON'
import ctypes

import llvmlite.binding as llvm

NAMES = "malloc", "PyLong_FromLong"
before = [llvm.address_of_symbol(name) for name in NAMES]
llvm.initialize_native_target()
llvm.initialize_native_asmprinter()


def machine():
    return llvm.Target.from_default_triple().create_target_machine(jit=True, codemodel="jitdefault")


module = llvm.parse_assembly("@unknown_name = external global i8\n@word = global ptr @unknown_name")
code = machine().emit_object(module)
engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine())
after = [llvm.address_of_symbol(name) is not None for name in NAMES]
engine.add_object_file(llvm.ObjectFileRef.from_data(code))
engine.finalize_object()
word = ctypes.c_uint64.from_address(engine.get_global_value_address("word")).value
print("before an engine   ", *before)
print("found with one     ", *after)
print("the unknown name   ", word)
assert (before, after, word) == ([None, None], [True, True], 0)
PYTHON
