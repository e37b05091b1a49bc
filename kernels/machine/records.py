"""Records that are passed by their address: a NamedTuple of many fields, in one word.

Numba hands a tuple over field by field, and an array is seven fields or nine: what is the same for all steps and
workers would be 160 arguments of every kernel.
"""

from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import intrinsic, lower_getattr_generic, models, register_model


class RecordType(types.Type):
    """The address of a NamedTuple of this type."""

    def __init__(self, contents):
        self.contents = contents
        super().__init__(name=f"record({contents})")


@register_model(RecordType)
class _RecordModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, dmm.lookup(fe_type.contents).get_value_type().as_pointer())


@intrinsic
def record(typingctx, contents):
    """The address of a copy of a NamedTuple, on the stack of the caller: for all that it calls.

    Its fields are read as those of the tuple, and nobody changes them.
    """

    def codegen(context, builder, sig, args):
        return cgutils.alloca_once_value(builder, args[0])

    return RecordType(contents)(contents), codegen


def kept(contents_of):
    """An intrinsic: the record at an address, of the type that `contents_of` tells by that of another argument."""

    @intrinsic
    def at(typingctx, address, like):
        contents = contents_of(like)

        def codegen(context, builder, sig, args):
            return builder.inttoptr(args[0], context.get_value_type(sig.return_type))

        return RecordType(contents)(address, like), codegen

    return at


@intrinsic
def contents(typingctx, record):
    """The NamedTuple itself."""

    def codegen(context, builder, sig, args):
        return builder.load(args[0])

    return record.contents(record), codegen


@infer_getattr
class _RecordAttributes(AttributeTemplate):
    key = RecordType

    def generic_resolve(self, kind, name):
        if name not in kind.contents.fields:
            return None
        field = kind.contents.types[kind.contents.fields.index(name)]
        return RecordType(field) if isinstance(field, types.BaseNamedTuple) else field


@lower_getattr_generic(RecordType)
def _read_field(context, builder, kind, address, name):
    place = kind.contents.fields.index(name)
    field = cgutils.gep_inbounds(builder, address, 0, place)
    if isinstance(kind.contents.types[place], types.BaseNamedTuple):
        return field
    value = builder.load(field)
    value.set_metadata("invariant.load", builder.module.add_metadata([]))
    return value
