"""Where the units of laws are: their machine code is loaded, or compiled, when it is first asked for.

sort        law                 what its unit does: see `units`
activate    Activation          A_l = g_l(Z_l), in place, and g'(Z)
output      a name              A_L = g(Z_L), in place
loss        Loss                the loss of each example, and dZ_L in the place of A_L
update      Rule                a step of some parameters
advance     Rule                several of them
"""

from dataclasses import replace
from itertools import count

from fastnn.kernels.laws.activations import KEPT
from fastnn.kernels.laws.fingerprints import fingerprint, identity_of
from fastnn.kernels.laws.losses import OUT_ACTIVATIONS
from fastnn.kernels.machine import code
from fastnn.kernels.machine.kinds import array

#: What laws are called in errors.
SORTS = {
    "activate": "activation",
    "output": "output activation",
    "loss": "loss",
    "update": "optimizer",
    "advance": "optimizer",
}
#: Where the units are, by the sort, what the law does, and the dtype.
_addresses = {}
_numbers = count()


def _functions_of(sort, law):
    if sort == "output":
        return (OUT_ACTIVATIONS[law],)
    if sort in ("update", "advance"):
        return (law.step,)
    return (law.value,) if sort == "activate" and law.form != KEPT else (law.value, law.slope)


def _name_of(sort, law):
    """That of a rule, with what goes with it; of another law its own."""
    if sort in ("update", "advance"):
        return law.name + " l1" * law.has_l1 + " averaged" * law.is_averaged
    return law if sort == "output" else law.name


def title_of(sort, law):
    """A name that tells a unit from all else, and whether another process would find the same."""
    letters = "".join(letter for letter in _name_of(sort, law) if letter.isalnum())[:40]
    try:
        return "_".join([sort, letters, *map(fingerprint, _functions_of(sort, law))]), True
    except ValueError:  # it refers to what another process cannot know
        return f"{sort}_{letters}_{next(_numbers)}", False


def _kinds(sort, dtype):
    """Those of the arguments of a unit, for arrays of this dtype."""
    vector, block = array(dtype, 1), array(dtype, 2)
    if sort == "loss":
        return block, block, vector, vector, "int64", "int64"
    if sort == "update":
        places = "int64", "int64"
        return block, block, block, vector, vector, array("int64", 2), *places, dtype, dtype, vector, "bool"
    if sort == "advance":
        return block, block, block, vector, block, *("int64",) * 4, vector, dtype, block
    return block, block, "int64", "int64"


def _unit_of(sort, law):
    title = "softmax" if (sort, law) == ("output", "softmax") else title_of(sort, law)[0]
    return f"{__package__}.units.{title}"


def unit_and_kinds(sort, law, dtype):
    """The name of the unit of a law, and the kinds of its arguments, for arrays of this dtype."""
    return _unit_of(sort, law), _kinds(sort, dtype.name)


def address_of(sort, law, dtype):
    """The address of the unit of a law for arrays of this dtype, which is compiled if need be; 0 for the identity.

    Where the law refers to other constants than the last time, it is another.
    """
    if (sort, law) == ("output", "identity"):
        return 0
    try:
        identity = law
        if sort == "loss":  # with other constants it needs no other unit
            identity = replace(law, constants=(0.0,) * len(law.constants), constants_of_others=())
        key = sort, identity, *map(identity_of, _functions_of(sort, law)), dtype.char
        if key in _addresses:
            return _addresses[key]
    except ValueError:
        key = None
    name, kinds = unit_and_kinds(sort, law, dtype)

    def make():
        from fastnn.kernels.laws.units import MAKERS
        from fastnn.kernels.machine.jit import COMPILED

        if name not in COMPILED:  # it is not one of the tables
            COMPILED[name] = MAKERS[sort](law)
        return ()

    try:
        address = code.load(name, kinds, make).address
    except Exception as error:
        from fastnn.kernels.laws.translation import reason

        about = f"the {SORTS[sort]} {_name_of(sort, law)!r}"
        raise ValueError(f"{about} cannot be compiled: {reason(error)}") from error
    if key:
        _addresses[key] = address
    return address
