"""The kernels of fastnn: everything that Numba compiles, and what it takes to call it.

Notation, everywhere the same: m examples in the batch, n_l units in layer l (n_0 = n_x features, n_L outputs).

    X = A_0 (n_x, m)   W_l (n_l, n_{l-1})   b_l (n_l)   Z_l = W_l A_{l-1} + b_l   A_l = g_l(Z_l)   (n_l, m)
    dZ_l, dW_l, db_l   derivatives of the cost J by Z_l, W_l, b_l
    theta (n_params)   all parameters in one flat vector; W_l and b_l are views of it

Examples are columns, and the SIMD lanes run along them: every width of layer is equally good, width 1 included.
In ``ways.online``, ``ways.units`` and ``ways.linear`` they are rows, and the lanes run along the units: where there is
one example, where the parameters are so few that to turn them is nothing beside turning the examples, and where there
is nothing but a row of weights.  In ``ways.sparse`` and ``ways.pieces``, so it is before and in the first layer.

Rules that every kernel keeps:

* It allocates nothing, checks nothing and raises nothing: the layer above allocates once a fit and checks once a call.
* It reads and writes inside its arrays only: rows of examples have room for whole vectors, other ends are masked.
* Constants take the dtype of the arrays: a float32 kernel holds no float64 arithmetic.
* The result does not depend on the number of threads, to the bit.

``machine`` knows of no network: ``simd`` the vocabulary, ``team`` the threads, ``jit`` the compiler, ``workers`` the
processes that compile at the same time, ``cache`` where machine code is kept, ``code`` how it is loaded.  ``layouts``
are the records that Python hands over, ``laws`` the activations, losses and optimizers, ``products`` what is done with
W, ``ways`` how a step is cut into work, ``run`` the loop of steps, ``predict`` forward propagation, ``passes`` whole
arrays, ``shuffle`` the order of an epoch, ``epochs`` all that is around the steps.  Each imports from those before it.

To import Numba takes longer than to load all that a fit needs.  So what Python imports from here is compiled by nobody:
``layouts``, ``machine.code`` and what they need, and the tables and addresses of laws.
"""
