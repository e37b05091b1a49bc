"""Passes over whole arrays of one dtype: those of `kernels.passes`, as Python calls them."""

from fastnn.training.calls import NUMBER, READ, READ_VECTOR, WRITTEN, WRITTEN_VECTOR, ByDtype

affine = ByDtype("passes.affine", READ, READ_VECTOR, READ, WRITTEN, WRITTEN, "bool", "int64")
output = ByDtype("passes.output", WRITTEN, "int64")
loss_and_dZ = ByDtype("passes.loss_and_dZ", WRITTEN, READ, WRITTEN_VECTOR, WRITTEN_VECTOR, "int64")
backproject = ByDtype("passes.backproject", READ, READ, READ, WRITTEN, "int64")
outer = ByDtype("passes.outer", READ, READ, WRITTEN, WRITTEN)
inner = ByDtype("passes.inner", READ, READ, WRITTEN, WRITTEN)
row_sums = ByDtype("passes.row_sums", READ, WRITTEN)
transpose = ByDtype("passes.transpose", READ, WRITTEN)
sgd = ByDtype("passes.sgd", WRITTEN_VECTOR, READ_VECTOR, NUMBER)
