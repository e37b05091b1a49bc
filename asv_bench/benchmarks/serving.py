"""Predictions as a service makes them: a row, some and many, by one caller and by sixteen, beside onnxruntime."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

import fastnn
from fastnn.comparison.calls import installed

from . import skip_missing

N_CALLERS = 16
#: The library, and how many threads a call may use; None is for its own choice.
SERVERS = {
    "fastnn": ("fastnn", None),
    "fastnn, 1 thread": ("fastnn", 1),
    "onnxruntime": ("onnxruntime", None),
    "onnxruntime, 1 thread": ("onnxruntime", 1),
}
NETWORKS = ("20-100-1", "784-100-100-1")


def onnx_file(model):
    """The graph of a regressor whose hidden units are relu."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, A = [], [], "X"
    for l, (W, b) in enumerate(zip(model.coefs_, model.intercepts_, strict=True), start=1):
        nodes += [
            helper.make_node("Gemm", [A, f"W{l}", f"b{l}"], [f"Z{l}"]),
            helper.make_node("Relu", [f"Z{l}"], [f"A{l}"]),
        ]
        weights += [numpy_helper.from_array(W, f"W{l}"), numpy_helper.from_array(b, f"b{l}")]
        A = f"A{l}"
    given, answer = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, n])
        for name, n in (("X", model.n_features_in_), (f"Z{l}", 1))
    )
    graph = helper.make_graph(nodes[:-1], "network", [given], [answer], weights)
    opset = helper.make_opsetid("", 13)  # which every onnxruntime of recent years reads
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString(), f"Z{l}"


def predictor(server, network):
    """What predicts float32 rows, and how many numbers these have."""
    n_x, *hidden, _ = map(int, network.split("-"))
    X = np.random.default_rng(0).standard_normal((200, n_x)).astype(np.float32)
    library, n_threads = SERVERS[server]
    model = fastnn.MLPRegressor(hidden_layer_sizes=hidden, random_state=0, n_threads=n_threads).partial_fit(X, X[:, 0])
    if library == "fastnn":
        return model.predict, n_x
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads or 0
    file, answer = onnx_file(model)
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run([answer], {"X": X})[0][:, 0], model.predict(X), rtol=1e-3, atol=1e-5)
    return lambda rows: session.run([answer], {"X": rows})[0], n_x


class OneCaller:
    params = (tuple(SERVERS), NETWORKS, (1, 100, 10_000))
    param_names = ("server", "network", "n_rows")

    def setup(self, server, network, n_rows):
        skip_missing(SERVERS[server][0], installed)
        self.predict, n_x = predictor(server, network)
        self.rows = np.random.default_rng(1).standard_normal((n_rows, n_x)).astype(np.float32)
        self.predict(self.rows)

    def time_call(self, server, network, n_rows):
        self.predict(self.rows)


class ManyCallers:
    """Sixteen threads at once, each of which asks for a hundred rows, one by one."""

    params = (tuple(SERVERS), NETWORKS)
    param_names = ("server", "network")

    def setup(self, server, network):
        skip_missing(SERVERS[server][0], installed)
        self.predict, n_x = predictor(server, network)
        self.rows = np.random.default_rng(1).standard_normal((100, 1, n_x)).astype(np.float32)
        self.pool = ThreadPoolExecutor(N_CALLERS)
        self.time_calls(server, network)

    def teardown(self, server, network):
        if hasattr(self, "pool"):
            self.pool.shutdown()

    def ask(self, _):
        for row in self.rows:
            self.predict(row)

    def time_calls(self, server, network):
        list(self.pool.map(self.ask, range(N_CALLERS)))
