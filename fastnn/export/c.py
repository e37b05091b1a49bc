"""A fitted model as a C header: constants and a few functions, for any compiler and any machine."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.export.description import Description, Pieces, Scaling, describe
from fastnn.export.expressions import Symbol, evaluate, expression
from fastnn.kernels.laws.losses import OUT_ACTIVATIONS
from fastnn.network import Array, common_dtype
from fastnn.tables.columns import FARTHEST, MISSING, Category, Column, Number, seconds

#: Words of C and of C++, and macros of their headers or compilers that somebody might name a column by.
RESERVED = frozenset(
    """
    alignas alignof and and_eq asm atomic auto bitand bitor bool break case catch char char16_t char32_t char8_t class
    co_await co_return co_yield compl complex concept const const_cast consteval constexpr constinit continue decltype
    default delete do double dynamic_cast else enum explicit export extern false float for friend goto if imaginary
    inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public
    register reinterpret_cast requires restrict return short signed sizeof static static_assert static_cast struct
    switch template this thread_local throw true try typedef typeid typename typeof typeof_unqual union unsigned using
    virtual void volatile wchar_t while xor xor_eq
    assert errno i386 linux stderr stdin stdout unix EOF HUGE_VAL I INFINITY NAN NULL
    """.split()
)
#: How many predictions a header has to be tested by.
N_EXAMPLES = 4
#: Labels that another reader may write otherwise: see `tables.columns.value_key`.
_VALUE = re.compile(r"-?[0-9]+(\.[0-9]+)?|true|false")
_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<="}

_LAYER = """
/* z = W^T x + b: a row of W (n_in, n_out) for each input. */
static inline void ${name}_layer(const $real *W, const $real *b, int n_in, int n_out, const $real *x, $real *z)
{
    for (int j = 0; j < n_out; ++j) z[j] = b[j];
    for (int k = 0; k < n_in; ++k) {
        const $real x_k = x[k];
        for (int j = 0; j < n_out; ++j) z[j] += x_k * W[j];
        W += n_out;
    }
}
"""
_SMALLER = """
/* The smaller of two numbers, NaN where one is. */
static inline $real ${name}_min($real a, $real b)
{
    return a < b || a != a ? a : b;
}
"""
_LARGER = """
/* The larger of two numbers, NaN where one is. */
static inline $real ${name}_max($real a, $real b)
{
    return a > b || a != a ? a : b;
}
"""
_SOFTMAX = """
/* Powers of e in parts of their sum, none of which can overflow. */
static inline void ${name}_softmax($real *z, int n)
{
    $real largest = z[0], sum = 0;
    for (int k = 1; k < n; ++k) {
        if (z[k] > largest) largest = z[k];
    }
    for (int k = 0; k < n; ++k) {
        z[k] = exp$f(z[k] - largest);
        sum += z[k];
    }
    for (int k = 0; k < n; ++k) z[k] /= sum;
}
"""
_SORT = """
/* In rising order: quantiles do not cross. */
static inline void ${name}_sort($real *z, int n)
{
    for (int k = 1; k < n; ++k) {
        const $real z_k = z[k];
        int place = k;
        for (; place > 0 && z[place - 1] > z_k; --place) z[place] = z[place - 1];
        z[place] = z_k;
    }
}
"""
_NUMBER = """
/* (x - mean) / scale, of the median where x is missing; by halves, whose difference does not overflow. */
static inline $real ${name}_number(double x, double median, double low, double high, double mean, double scale)
{
    if (x - x != 0) x = median; /* NaN, or infinite */
    if (x < low) x = low;
    if (x > high) x = high;
    x = (x / 2 - mean / 2) / (scale / 2);
    return $as_float(x < -1e30 ? -1e30 : x > 1e30 ? 1e30 : x);
}
"""
_CATEGORY = """
/* Whether the text up to end is this number or truth, written otherwise: 01 or 1.0 for 1, TRUE for true. */
static inline int ${name}_is_value(const char *text, const char *end, const char *value)
{
    if (*value == 't' || *value == 'f') {
        for (; *value != 0 && (*text | 32) == *value; ++value) ++text;
        return text == end && *value == 0;
    }
    if (*value == '-' && *text++ != *value++) return 0;
    if (*text < '0' || *text > '9') return 0;
    while (*text == '0' && text[1] >= '0' && text[1] <= '9') ++text;
    while (*text >= '0' && *text <= '9') {
        if (*text++ != *value++) return 0;
    }
    if (*text == '.') {
        ++text;
        if (*value == '.') {
            for (++value; *value != 0; ++value) {
                if (*text++ != *value) return 0;
            }
        }
        while (*text == '0') ++text;
    }
    return text == end && *value == 0;
}

/* Which of n words the text up to end is, or -1. */
static inline int ${name}_place(const char *text, const char *end, const char *const *words, int n)
{
    const size_t length = (size_t)(end - text);
    for (int k = 0; k < n; ++k) {
        if (strncmp(text, words[k], length) == 0 && words[k][length] == 0) return k;
    }
    return -1;
}

/* 1 for the label that a text is, 0 for all others; the last one may be for missing ones. */
static inline void ${name}_category(
    const char *text, const char *const *labels, const char *const *values, int n, int has_missing, $real *x)
{
$missing
    int code = -1, is_missing = 1;
    if (text != NULL) {
        const char *end;
        while (*text == ' ' || (*text >= 9 && *text <= 13)) ++text;
        end = text + strlen(text);
        while (end > text && (end[-1] == ' ' || (end[-1] >= 9 && end[-1] <= 13))) --end;
        code = ${name}_place(text, end, labels, n);
        is_missing = code < 0 && (text == end || ${name}_place(text, end, missing, $n_missing) >= 0);
        for (int k = 0; code < 0 && !is_missing && k < n; ++k) {
            if (values[k] != NULL && ${name}_is_value(text, end, values[k])) code = k;
        }
    }
    for (int k = 0; k < n + has_missing; ++k) x[k] = 0;
    if (code < 0 && is_missing && has_missing) code = n;
    if (code >= 0) x[code] = 1;
}
"""
_EMBED = """
/* Each number scaled and clipped smoothly, then its pieces, which rise from -1/2 to 1/2 between two edges. */
static inline void ${name}_embed(const $real *x, $real *out)
{
    const double *t = ${name}_edges;
    $real *piece = out + $n_matrix;
    for (int j = 0; j < $n_matrix; ++j) {
        const double x_j = (double)x[j], z = (x_j - ${name}_center[j]) * ${name}_scale[j];
        out[j] = $as_float(z / sqrt(1 + z / 3 * (z / 3)));
        for (int k = 0; k < ${name}_n_pieces[j]; ++k, ++t) {
            const double rise = x_j <= t[0] ? 0 : x_j >= t[1] ? 1 : (x_j - t[0]) / (t[1] - t[0]);
            *piece++ = $as_float(rise - 0.5);
        }
        if (${name}_n_pieces[j] > 0) ++t;
    }
}
"""
_CLASS = """
/* The class: its place in ${name}_classes; -1 if there is none, because of a NaN. */
static inline int ${name}_predict($input)
{
    $real p[$n];
    int best = 0;
    ${name}_predict_proba($given, p);
    for (int k = 0; k < $n; ++k) {
        if (p[k] != p[k]) return -1;
        if (p[k] > p[best]) best = k;
    }
    return best;
}
"""
_CLASS_OF_TWO = """
/* The class: its place in ${name}_classes; -1 if there is none, because of a NaN. */
static inline int ${name}_predict($input)
{
    $real p[2];
    ${name}_predict_proba($given, p);
    return p[1] != p[1] ? -1 : $is_second;
}
"""
_LABELS = """
/* For each label, whether the example has it: 1 or 0; -1 if that is not known, because of a NaN. */
static inline void ${name}_predict($input, int *labels)
{
    $real p[$n];
    ${name}_predict_proba($given, p);
    for (int k = 0; k < $n; ++k) labels[k] = p[k] != p[k] ? -1 : p[k] > $half;
}
"""
_TEST = """
#ifdef ${macro}_TEST
/* How many of some predictions are wrong where this runs. */
static inline int ${name}_test(void)
{
$arrays
    $real_out out[$n];
    int n_wrong = 0;
    for (int i = 0; i < $n_examples; ++i) {
        ${name}_$predict($each, out);
        for (int k = 0; k < $n; ++k) {
            if (!(fabs((double)out[k] - expected[$n * i + k]) <= errors[$n * i + k])) ++n_wrong;
        }
    }
$of_nan    return n_wrong;
}
#endif
"""
_TEST_OF_NAN = """
    {
        $real x[$n_matrix];
        for (int k = 0; k < $n_matrix; ++k) x[k] = ($real)NAN;
        ${name}_$predict(x, out);
        for (int k = 0; k < $n; ++k) {
            if (out[k] == out[k]) ++n_wrong;
        }
    }
"""


def to_c(model: Any, name: str = "network") -> str:
    """A fitted model as a header of C99, which is C++11 as well and needs nothing but the standard library.

    With the default name, and float for parameters of float32, else double:

    * classifiers: ``network_predict_proba(const float *x, float *out)``, and ``network_predict(const float *x)``, which
      returns the place of the class in ``network_classes``; of several labels, ``network_predict(x, int *labels)``;
    * regressors: ``network_predict(const float *x, float *out)``;
    * behind a `TableEncoder`, and of a tabular model, ``const network_row *row`` for x: a struct with a member for each
      column; of a `TabularRegressor` ``double *out``, because the digits count when the mean is added;
    * ``network_test()``, where NETWORK_TEST is defined: how many of some predictions are wrong on this machine.

    There is no heap and nothing that changes, so that threads may share it; NETWORK_SCRATCH says how many bytes of the
    stack its arrays take.  NaN makes NaN of all outputs and -1 of the class, unless it is compiled with -ffast-math.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        A fitted estimator of fastnn or of scikit-learn; or a Pipeline that ends with one, after a StandardScaler,
        MinMaxScaler, MaxAbsScaler or RobustScaler, several of these, or (before an MLP) a `TableEncoder`.
    name : str, default "network"
        What all names begin with: headers of other names (not only in case) may be used beside it.

    Returns
    -------
    str
        The text of the header, in ASCII.

    Raises
    ------
    TypeError
        The model is something else, or its classes are neither texts nor numbers.
    ValueError
        The name is no identifier of C, the model holds what C cannot, such as numbers that are not finite, or a law of
        your own is no expression of elementary operations.
    sklearn.exceptions.NotFittedError
        The model is not fitted.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.MLPRegressor(hidden_layer_sizes=(3,), max_iter=5, tol=9).fit([[0, 1], [1, 0]], [0, 1])
    >>> header = fastnn.to_c(model, "adder")
    >>> "void adder_predict(const double *x, double *out)" in header
    True
    """
    if not isinstance(name, str):
        raise TypeError(f"name is a {type(name).__name__}, but a str is wanted")
    if name in RESERVED:
        raise ValueError(
            f"name is {name!r}, but an identifier of C is wanted, and that word means something there already"
        )
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(f"name is {name!r}, but an identifier of C is wanted: a letter, then letters, digits and _")
    return _Header(describe(model), name).text()


class _Header:
    """The header of one model.

    Parameters
    ----------
    model : Description
    name : str
        What all names begin with.
    """

    def __init__(self, model: Description, name: str) -> None:
        self.model, self.name, self.macro = model, name, name.upper()
        self.dtype = common_dtype(*model.coefs, *model.intercepts)
        self.real = "float" if self.dtype == np.float32 else "double"
        #: Of all members, one after another: coefs (n_members, n_in, n_out), intercepts (n_members, n_out).
        coefs, intercepts = zip(*((member.coefs, member.intercepts) for member in model.members), strict=True)
        self.coefs = [np.stack(of_layer).astype(self.dtype) for of_layer in zip(*coefs, strict=True)]
        self.intercepts = [np.stack(of_layer).astype(self.dtype) for of_layer in zip(*intercepts, strict=True)]
        if not all(np.isfinite(array).all() for array in (*self.coefs, *self.intercepts)):
            raise ValueError("coefs_ or intercepts_ hold NaN or infinity, but numbers are wanted")
        self.n_in, self.n_last = self.coefs[0].shape[1], self.coefs[-1].shape[2]
        #: How wide the matrix is, of which the embedding makes what the networks take.
        self.n_matrix = len(model.pieces.edges) if model.pieces else self.n_in
        #: Whether what comes out is computed of what the networks say.
        self.is_combined = len(model.members) > 1 or model.outcome is not None
        self.real_out = "double" if model.outcome else self.real
        #: One logistic output of classes is the probability of the second; that of the first is wanted as well.
        self.is_of_two = model.task == "classes" and model.out_activation == "logistic"
        self.n_out = 2 if self.is_of_two else self.n_last
        self.n_classes = 0 if model.classes is None else len(model.classes)
        #: What the activations compute, but for those that do nothing.
        self.laws = {law: value for law in model.activations if (value := expression(law.value)).op != "arg"}
        self.columns: list[Column] = [column for _, column in model.columns or []]
        self.fields = _identifiers(column.name for column in self.columns)
        self.input = f"const {name}_row *row" if self.columns else f"const {self.real} *x"
        self.given = "row" if self.columns else "x"
        self.predict = "predict" if model.task == "numbers" else "predict_proba"
        # The inputs of the layers are in two arrays by turns, a and z; the first are where they came from, unless they
        # are scaled, or embedded in p.  The outputs of a member are in y, where more is made of them.
        widths = [self.n_in if model.scalings else 0, *(coef.shape[2] for coef in self.coefs[:-1])]
        self.rooms = {name: max(widths[first::2], default=0) for first, name in enumerate("az")}
        self.rooms |= {"p": self.n_in if model.pieces else 0, "y": self.n_out if self.is_combined else 0}

    def text(self) -> str:
        """All of it."""
        body = "\n\n".join(filter(None, [*self._constants(), *self._functions()]))
        helpers = [helper for name, helper in (("min", _SMALLER), ("max", _LARGER)) if f"{self.name}_{name}(" in body]
        body = "\n\n".join([*map(self._filled, helpers), body, self._test()])
        headers = ["math", *["stddef"] * ("NULL" in body), *["stdint"] * ("int64_t" in body)]
        headers += ["string"] * ("strncmp" in body)
        includes = "\n".join(f"#include <{header}.h>" for header in headers)
        guard = f"{self.macro}_H"
        return (
            f"{self._title()}\n#ifndef {guard}\n#define {guard}\n\n{includes}\n\n{self._macros()}\n\n{body}\n\n#endif\n"
        )

    def _filled(self, template: str, **values: Any) -> str:
        f = "f" if self.real == "float" else ""
        known = {"name": self.name, "macro": self.macro, "real": self.real, "f": f, "n": self.n_out}
        known |= {"n_matrix": self.n_matrix, "real_out": self.real_out}
        known |= {"as_float": "(float)" if self.real == "float" else "(double)(float)"}
        known |= {"input": self.input, "given": self.given, "predict": self.predict}
        return Template(template.strip("\n")).substitute(known | values)

    def _number(self, value: Any) -> str:
        return _number(self.dtype.type(value))

    def _array(self, name: str, values: npt.ArrayLike, real: str | None = None) -> str:
        real = real or self.real
        dtype: np.dtype[Any] = np.dtype("f" if real == "float" else "d")
        numbers = np.asarray(values, dtype).ravel()
        return _array(f"static const {real} {self.name}_{name}[{numbers.size}]", map(_number, numbers))

    def _title(self) -> str:
        from fastnn import __version__

        model, name, macro, real = self.model, self.name, self.macro, self.real
        units = [f"{coef.shape[2]}" for coef in self.coefs]
        laws = [*(_comment(law.name) for law in model.activations), model.out_activation]
        layers = ", ".join([f"{self.n_in} inputs", *(f"{n} {law}" for n, law in zip(units, laws, strict=True))])
        given = "&row" if self.columns else "x"
        use = [f"{name}_row row;" if self.columns else f"{real} x[{macro}_N_FEATURES];"]
        use += [f"{self.real_out} out[{macro}_N_OUTPUTS];"]
        use += [f"{name}_{self.predict}({given}, out);"]
        if model.task == "classes":
            use += [f"int k = {name}_predict({given});   the class is {name}_classes[k], its probability out[k]"]
        elif model.task == "labels":
            use += [f"int has[{macro}_N_OUTPUTS];", f"{name}_predict({given}, has);   1 or 0 for each label"]
        n_numbers = sum(array.size for array in (*self.coefs, *self.intercepts))
        n_members = len(model.members)
        what = "a multilayer perceptron" if n_members == 1 else f"the mean of {n_members} multilayer perceptrons"
        lines = [f"{name}: {what}, {layers}. Written by fastnn {__version__}.", ""]
        lines += [f"    {line}" for line in use] + [""]
        missing = "NaN in x makes NaN of all outputs, unless this is compiled with -ffast-math."
        lines += textwrap.wrap(
            f"{n_numbers} parameters of {self.dtype.itemsize} bytes. {macro}_SCRATCH is how many bytes of the stack "
            "the arrays of a prediction take. Nothing changes but the outputs, which must not overlap the inputs. "
            f"{'A missing value is NAN, or NULL.' if self.columns else missing} "
            f"With #define {macro}_TEST, {name}_test() returns how many of some predictions are wrong.",
            112,
        )
        if not self.columns and model.names != [f"x{j}" for j in range(model.n_features_in)]:
            lines += ["", *(f"    x[{j}]: {_comment(feature)}" for j, feature in enumerate(model.names))]
        return "/* " + "\n".join(f"   {line}".rstrip() for line in lines).lstrip() + "\n*/"

    def _macros(self) -> str:
        n_numbers = sum(self.rooms.values()) + (self.n_matrix if self.columns else 0)
        n_numbers += self.n_out if self.model.task != "numbers" else 0
        scratch = max(n_numbers, 1) * self.dtype.itemsize
        sizes = {"N_FEATURES": self.n_matrix, "N_OUTPUTS": self.n_out, "SCRATCH": scratch}
        if self.model.task == "classes":
            sizes["N_CLASSES"] = self.n_classes
        return "\n".join(f"#define {self.macro}_{name} {size}" for name, size in sizes.items())

    def _constants(self) -> Iterator[str]:
        if self.model.task == "classes" and self.model.classes is not None:
            yield _classes(f"{self.name}_classes", self.model.classes)
        for number, scaling in enumerate(self.model.scalings, 1):
            yield from (self._array(f"{name}{number}", values) for name, values in self._scaled(scaling).items())
        if pieces := self.model.pieces:
            yield from (self._array("center", pieces.center, "double"), self._array("scale", pieces.scale, "double"))
            n_pieces = [str(max(len(edges) - 1, 0)) for edges in pieces.edges]
            yield _array(f"static const int {self.name}_n_pieces[{self.n_matrix}]", n_pieces)
            edges = np.concatenate(pieces.edges)
            yield self._array("edges", edges if len(edges) else [0.0], "double")  # no array of C is empty
        for l, (coef, intercept) in enumerate(zip(self.coefs, self.intercepts, strict=True), 1):
            yield self._array(f"W{l}", coef)
            yield self._array(f"b{l}", intercept)
        if self.model.outcome:
            yield from (self._array(f"out_{name}", row, "double") for name, row in vars(self.model.outcome).items())

    def _scaled(self, scaling: Scaling) -> dict[str, Array]:
        """The arrays that a scaling needs.  The shift is in two parts, or what is small beside it would be lost."""
        with np.errstate(over="ignore", invalid="ignore"):
            shift = scaling.shift.astype(self.dtype)
            arrays = {
                "shift": shift,
                "rest": (scaling.shift - shift).astype(self.dtype),
                "divisor": scaling.divisor.astype(self.dtype),
                "offset": scaling.offset.astype(self.dtype),
            }
        if not all(np.isfinite(array).all() for array in arrays.values()) or not arrays["divisor"].all():
            raise ValueError(f"a step of the Pipeline scales by numbers that no {self.real} can hold")
        if np.isfinite([scaling.low, scaling.high]).all():
            arrays |= {"low": scaling.low, "high": scaling.high}
        nothing = {"shift": 0, "rest": 0, "divisor": 1, "offset": 0}
        return {name: array for name, array in arrays.items() if name not in nothing or (array != nothing[name]).any()}

    def _functions(self) -> Iterator[str]:
        model = self.model
        if model.pieces:
            yield self._filled(_EMBED)
        yield self._filled(_LAYER)
        for number, (law, value) in enumerate(self.laws.items(), 1):
            yield f"/* The activation {_comment(law.name)}. */\n" + self._law(f"{self.name}_g{number}", value)
        if model.out_activation == "softmax":
            yield self._filled(_SOFTMAX)
        elif model.out_activation != "identity":
            value = expression(OUT_ACTIVATIONS[model.out_activation])
            yield "/* The output activation. */\n" + self._law(f"{self.name}_g", value)
        if model.is_sorted:
            yield self._filled(_SORT)
        what = {"classes": "The probability of each class", "labels": "The probability of each label"}
        comment = f"/* {what.get(model.task, 'The prediction')}. */\n"
        if self.columns:
            yield from self._table()
            yield from (self._forward("forward"), comment + self._of_row())
        else:
            yield comment + self._forward(self.predict)
        if model.task == "labels":
            yield self._filled(_LABELS, half=self._number(0.5))
        elif self.is_of_two:
            is_second = f"p[1] > {self._number(0.5)}" if self.n_classes > 1 else "0"
            yield self._filled(_CLASS_OF_TWO, is_second=is_second)
        elif model.task == "classes":
            yield self._filled(_CLASS)

    def _forward(self, name: str) -> str:
        """The function from the matrix to the outputs."""
        model, x, lines = self.model, "x", []
        lines += [f"{self.real} {room}[{n}];" for room, n in self.rooms.items() if n]
        for number, scaling in enumerate(model.scalings, 1):
            lines += self._scale(number, list(self._scaled(scaling)), x, "a")
            x = "a"
        if model.pieces:
            lines += [f"{self.name}_embed({x}, p);"]
            x = "p"
        if self.is_combined:
            lines += self._combined(self._network(x, "y"))
        else:
            lines += self._network(x, "out")
        if model.is_sorted:
            lines += [f"{self.name}_sort(out, {self.n_last});"]
        return _block(f"static inline void {self.name}_{name}(const {self.real} *x, {self.real_out} *out)", lines)

    def _network(self, x: str, out: str) -> list[str]:
        """From what the layers of member i take to its outputs."""
        model, lines, several = self.model, [], len(self.model.members) > 1
        for l, coef in enumerate(self.coefs, 1):
            z = out if l == len(self.coefs) else "az"[l % 2]
            _, n_in, n_out = coef.shape
            W, b = f"{self.name}_W{l}", f"{self.name}_b{l}"
            W, b = (f"{W} + {n_in * n_out} * i", f"{b} + {n_out} * i") if several else (W, b)
            lines += [f"{self.name}_layer({W}, {b}, {n_in}, {n_out}, {x}, {z});"]
            if z != out and (law := model.activations[l - 1]) in self.laws:
                g = f"{self.name}_g{list(self.laws).index(law) + 1}"
                lines += [f"for (int j = 0; j < {n_out}; ++j) {z}[j] = {g}({z}[j]);"]
            x = z
        g = f"{self.name}_g"
        if self.is_of_two:  # g(-z) and not 1 - g(z), which is 0 for a small one
            lines += [f"{out}[1] = {g}({out}[0]);", f"{out}[0] = {g}(-{out}[0]);"]
        elif model.out_activation == "softmax":
            lines += [f"{self.name}_softmax({out}, {self.n_last});"]
        elif model.out_activation != "identity":
            lines += [f"for (int j = 0; j < {self.n_last}; ++j) {out}[j] = {g}({out}[j]);"]
        return lines

    def _combined(self, network: list[str]) -> list[str]:
        """The mean of the members' outputs y, and what is made of it."""
        each, n_members = f"for (int j = 0; j < {self.n_out}; ++j)", len(self.model.members)
        y = "(double)y[j]" if self.real_out != self.real else "y[j]"
        if n_members > 1:
            lines = [f"{each} out[j] = 0;", f"for (int i = 0; i < {n_members}; ++i) {{"]
            lines += [*(f"    {line}" for line in network), f"    {each} out[j] += {y};", "}"]
            y = f"out[j] / {n_members}"
        else:
            lines = network
        if not self.model.outcome:
            return [*lines, f"{each} out[j] = {y};"]
        of = f"{self.name}_out"
        lines += [f"{each} {{", f"    out[j] = {y} * {of}_scale[j] + {of}_mean[j];"]
        for name, relation in ("low", "<"), ("high", ">"):
            lines += [f"    if (out[j] {relation} {of}_{name}[j]) out[j] = {of}_{name}[j];"]
        return [*lines, "}"]

    def _scale(self, number: int, arrays: list[str], x: str, z: str) -> list[str]:
        """z = (x - shift) / divisor + offset, between low and high."""
        at = {name: f"{self.name}_{name}{number}[k]" for name in arrays}
        value = f"{x}[k]"
        for name, operation in ("shift", "-"), ("rest", "-"), ("divisor", "/"), ("offset", "+"):
            if name in at:
                value = f"({value} {operation} {at[name]})"
        lines = [f"    {z}[k] = {_bare(value)};"]
        for name, relation in ("low", "<"), ("high", ">"):
            if name in at:
                lines += [f"    if ({z}[k] {relation} {at[name]}) {z}[k] = {at[name]};"]
        return [f"for (int k = 0; k < {self.n_in}; ++k) {{", *lines, "}"]

    def _law(self, name: str, value: Symbol) -> str:
        """The function of one number that an expression is; what occurs in it several times is computed once."""
        nodes: dict[tuple[Any, ...], int] = {}
        known: dict[int, int] = {}

        def place(symbol: Symbol) -> int:
            if id(symbol) not in known:
                args = [place(arg) if isinstance(arg, Symbol) else arg for arg in symbol.args]
                known[id(symbol)] = nodes.setdefault((symbol.op, *args), len(nodes))
            return known[id(symbol)]

        place(value)
        uses = Counter(arg for op, *args in nodes if op not in ("arg", "const") for arg in args)
        lines: list[str] = []
        if not np.isnan(evaluate(value, z=np.float64(np.nan))):
            lines += ["if (z != z) return z;"]
        texts: list[str] = []
        for (op, *args), node in nodes.items():
            text = self._operation(op, [texts[arg] if op not in ("arg", "const") else arg for arg in args])
            if (uses[node] > 1 or len(text) > 90) and op not in ("arg", "const"):
                kind = "int" if op in ("lt", "le") else self.real
                lines += [f"const {kind} t{node} = {_bare(text)};"]
                text = f"t{node}"
            texts.append(text)
        lines += [f"return {_bare(texts[-1])};"]
        return _block(f"static inline {self.real} {name}({self.real} z)", lines)

    def _operation(self, op: str, args: list[Any]) -> str:
        """An operation on texts, in parentheses where it is no name, number or call."""
        if op == "arg":
            return str(args[0])
        if op == "const":
            text = self._number(args[0])
            return f"({text})" if text.startswith("-") else text
        if op in _INFIX:
            return f"({args[0]} {_INFIX[op]} {args[1]})"
        if op == "neg":
            return f"(-{args[0]})"
        if op == "where":
            return f"({args[0]} ? {args[1]} : {args[2]})"
        inside = ", ".join(map(_bare, args))
        if op in ("min", "max"):
            return f"{self.name}_{op}({inside})"
        return f"{'fabs' if op == 'abs' else op}{'f' * (self.real == 'float')}({inside})"

    def _table(self) -> Iterator[str]:
        """The struct of a row, and what makes numbers of it."""
        name, lines = self.name, []
        for column, field in zip(self.columns, self.fields, strict=True):
            kind = "const char *" if isinstance(column, Category) else "double "
            what = {"date": "seconds since 1970-01-01 UTC", "boolean": "0 or 1"}.get(str(column.kind), str(column.kind))
            seen = f", in training {_comment(column.detail)}" if column.detail else ""
            lines += [f"    {kind}{field}; /* {_comment(column.name)}: {what}{seen} */"]
        first = "/* A row of the table: NAN, or NULL, where a value is missing. */\ntypedef struct {"
        yield "\n".join([first, *lines, f"}} {name}_row;"])
        n, body = 0, []
        for number, (column, field) in enumerate(zip(self.columns, self.fields, strict=True), 1):
            if isinstance(column, Category):
                values = {code: value for value, code in column._codes_by_value.items() if _VALUE.fullmatch(value)}
                yield _texts(f"{name}_labels{number}", column.categories)
                yield _texts(f"{name}_values{number}", [values.get(code) for code in range(len(column.categories))])
                arguments = f"{len(column.categories)}, {int(column.missing)}, x + {n}"
                body += [f"{name}_category(row->{field}, {name}_labels{number}, {name}_values{number}, {arguments});"]
            else:
                numbers = column.median, *column.beyond(FARTHEST), column.mean, column.scale
                arguments = ", ".join(_number(np.float64(number)) for number in numbers)
                body += [f"x[{n}] = {name}_number(row->{field}, {arguments});"]
            n += len(column.outputs)
        if any(isinstance(column, Number) for column in self.columns):
            yield self._filled(_NUMBER)
        if any(isinstance(column, Category) for column in self.columns):
            missing = f"    {_texts('missing', sorted(MISSING))}".replace("\n", "\n    ")
            yield self._filled(_CATEGORY, missing=missing, n_missing=len(MISSING))
        comment = "/* What the network is given for a row: its numbers scaled, one input for each label. */\n"
        yield comment + _block(f"static inline void {name}_encode(const {name}_row *row, {self.real} *x)", body)

    def _of_row(self) -> str:
        name = self.name
        body = [f"{self.real} x[{self.n_matrix}];", f"{name}_encode(row, x);", f"{name}_forward(x, out);"]
        return _block(f"static inline void {name}_{self.predict}({self.input}, {self.real_out} *out)", body)

    def _test(self) -> str:
        """Some predictions, to be compared where the header is used."""
        if self.columns:
            rows, X = self._rows()
            examples = _array(f"static const {self.name}_row rows[{len(rows)}]", rows)
        else:
            X = self._inputs()
            numbers = X.astype(self.dtype).ravel()
            examples = _array(f"static const {self.real} inputs[{numbers.size}]", map(_number, numbers))
        expected, errors = self._predicted(X)
        arrays = [examples]
        arrays += [_array(f"static const double expected[{expected.size}]", map(_number, expected.ravel()))]
        arrays += [_array(f"static const double errors[{errors.size}]", (f"{error:.1e}" for error in errors.ravel()))]
        return self._filled(
            _TEST,
            arrays="\n".join(f"    {line}" for array in arrays for line in array.splitlines()),
            n_examples=len(X),
            each="&rows[i]" if self.columns else f"inputs + {self.n_in} * i",
            of_nan="" if self.columns else self._filled(_TEST_OF_NAN) + "\n",
        )

    def _inputs(self) -> Array:
        """Some inputs (n, n_in) that are usual, if the scalings know what that is."""
        X = np.random.default_rng(0).standard_normal((N_EXAMPLES, self.n_in))
        for scaling in reversed(self.model.scalings):
            X = (X - scaling.offset) * scaling.divisor + scaling.shift
        return X.astype(self.dtype).astype(np.float64)

    def _rows(self) -> tuple[list[str], Array]:
        """Some rows of the table, as C has them, and their matrix (n, n_in)."""
        fields, X, n = [], np.empty((N_EXAMPLES, self.n_matrix), np.float32), 0
        for j, column in enumerate(self.columns):
            values: npt.NDArray[Any]
            if isinstance(column, Category):
                values = np.array([*column.categories[:1], *column.categories[-1:], "(none of these)", None], object)
                values = np.roll(np.resize(values, N_EXAMPLES), j)
                fields.append(["NULL" if value is None else _text(value) for value in values])
            else:
                low, high = (column.mean if end is None else end for end in (column.low, column.high))
                numbers = np.roll([low, high, high + (high - low) / 4, np.nan], j)
                values = np.where(np.isfinite(numbers), numbers, np.nan)
                if column.kind == "date":
                    values = (values * 1e6).astype("datetime64[us]")
                    numbers = seconds(values)
                fields.append([_number(number) for number in numbers])
            width = len(column.outputs)
            column.encode(values, X[:, n : n + width])
            n += width
        return [f"{{{', '.join(row)}}}" for row in zip(*fields, strict=True)], X.astype(np.float64)

    def _predicted(self, X: Array) -> tuple[Array, Array]:
        """What comes out (n, n_out) in float64, and how far from it that of `dtype` may be, to first order."""
        model, eps = self.model, float(np.finfo(self.dtype).eps)
        error = np.finfo(np.float32).eps * abs(X) if self.columns else np.zeros_like(X)

        with np.errstate(all="ignore"):
            for s in model.scalings:
                Z = (X - s.shift) / s.divisor
                error = (error + eps**2 * abs(s.shift)) / abs(s.divisor) + 4 * eps * (abs(Z) + abs(Z + s.offset))
                X = np.clip(Z + s.offset, s.low, s.high)
            if model.pieces:
                X, error = _embedded(model.pieces, X, error)
            outputs, errors = zip(*(self._of_member(i, X, error) for i in range(len(model.members))), strict=True)
            X, error = np.mean(outputs, axis=0), np.mean(errors, axis=0)
            if self.is_combined:
                error = error + len(outputs) * eps * abs(X)
            if outcome := model.outcome:
                X, error = X * outcome.scale + outcome.mean, (error + eps**2 * abs(X)) * outcome.scale
                error = error + 4 * np.finfo(np.float64).eps * (abs(X) + abs(outcome.mean))
                X = np.clip(X, outcome.low, outcome.high)
        if model.is_sorted:
            X, error = np.sort(X), np.broadcast_to(error.max(axis=1, keepdims=True), error.shape)
        return X, np.nan_to_num(error, nan=1e300, posinf=1e300)

    def _of_member(self, i: int, X: Array, error: Array) -> tuple[Array, Array]:
        """What a member makes of its inputs, and how far from it that of `dtype` may be."""
        model, eps = self.model, float(np.finfo(self.dtype).eps)

        def apply(value: Symbol, Z: Array, error: Array) -> tuple[Array, Array]:
            A = evaluate(value, z=Z)
            reach = np.fmax(abs(evaluate(value, z=Z + error) - A), abs(evaluate(value, z=Z - error) - A))
            return A, reach + 16 * eps * (1 + abs(A))  # of what a law computes, from numbers about 1

        for l, (coef, intercept) in enumerate(zip(self.coefs, self.intercepts, strict=True)):
            W, b = coef[i].astype(np.float64), intercept[i].astype(np.float64)
            # Errors of many terms have either sign: their sum is as long as the root of their squares.  Twice that is
            # the sum of their absolute values where there are four, and nearly never reached where there are more.
            error = 2 * np.sqrt(error**2 @ W**2 + (len(W) + 2) * (eps * (abs(X) @ abs(W) + abs(b))) ** 2)
            X = X @ W + b
            if l < len(model.activations) and model.activations[l] in self.laws:
                X, error = apply(self.laws[model.activations[l]], X, error)
        if self.is_of_two:
            X, error = np.hstack([-X, X]), np.hstack([error, error])
        if model.out_activation != "softmax":
            return apply(expression(OUT_ACTIVATIONS[model.out_activation]), X, error)
        powers = np.exp(X - X.max(axis=1, keepdims=True))
        X = powers / powers.sum(axis=1, keepdims=True)
        return X, X * np.expm1(2 * error.max(axis=1, keepdims=True)) + 16 * eps


def _embedded(pieces: Pieces, X: Array, error: Array) -> tuple[Array, Array]:
    """What an embedding makes of a matrix, and how far from it that of a matrix with errors may be."""

    def of(X: Array) -> Array:
        z = (X - pieces.center) * pieces.scale
        columns = [z / np.sqrt(1 + (z / 3) ** 2)]
        for x, edges in zip(X.T, pieces.edges, strict=True):
            columns.append(np.clip((x[:, np.newaxis] - edges[:-1]) / np.diff(edges), 0, 1) - 0.5)
        return np.hstack(columns)

    out = of(X)
    reach = np.maximum(abs(of(X + error) - out), abs(of(X - error) - out))
    return out, reach + np.finfo(np.float32).eps * abs(out)


# ---- texts ----


def _bare(text: str) -> str:
    """Without the parentheses around it."""
    depth = 0
    for i, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and i < len(text) - 1:
            return text
    return text[1:-1] if text.startswith("(") else text


def _number(value: np.floating[Any]) -> str:
    """The shortest text of which a compiler makes this number again."""
    if not np.isfinite(value):  # macros of float
        text = "NAN" if np.isnan(value) else "INFINITY" if value > 0 else "-INFINITY"
        return text if value.dtype == np.float32 else f"(double){text}"
    return str(value) + "f" * (value.dtype == np.float32)


def _text(value: str) -> str:
    """A text in UTF-8, as C writes it."""
    if "\0" in value:
        raise ValueError(f"{value!r} has a NUL in it, which no text of C has")
    plain = {*range(32, 127)} - {*b'"\\?'}  # ?? may be a trigraph
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in value.encode()) + '"'


def _comment(text: str) -> str:
    """A text that ends no comment, in ASCII."""
    plain = "".join(c if c.isprintable() else " " for c in text).encode("ascii", "backslashreplace").decode()
    return re.sub(r"([*/?])(?=[*/?])", r"\1 ", plain)


def _array(declaration: str, values: Iterable[str]) -> str:
    """A constant array, in lines of up to 120 characters where its values allow that."""
    lines, length = list[list[str]](), 121
    for value in values:
        length += len(value) + 2
        if length > 120:
            lines.append([])
            length = len(value) + 5
        lines[-1].append(value)
    return f"{declaration} = {{\n    " + ",\n    ".join(map(", ".join, lines)) + "\n};"


def _texts(name: str, texts: Sequence[str | None]) -> str:
    literals = ["NULL" if text is None else _text(text) for text in texts] or ["NULL"]
    return _array(f"static const char *const {name}[{len(literals)}]", literals)


def _classes(name: str, classes: npt.NDArray[Any]) -> str:
    """The labels, as they were given."""
    labels = np.asarray(classes.tolist()) if classes.dtype == object else classes
    if labels.dtype.kind == "U":
        return _texts(name, labels.tolist())
    if labels.dtype.kind == "f":
        return _array(f"static const double {name}[{len(labels)}]", map(_number, labels.astype(np.float64)))
    if labels.dtype.kind in "iub" and (labels <= np.iinfo(np.int64).max).all():
        # The least has no literal of its own.
        least = {-(2**63): "INT64_C(-9223372036854775807) - 1"}
        literals = [least.get(label, f"INT64_C({label})") for label in map(int, labels)]
        return _array(f"static const int64_t {name}[{len(literals)}]", literals)
    raise TypeError(f"the classes are {classes}, but texts, floats, or integers below 2**63 are wanted")


def _block(head: str, lines: Iterable[str]) -> str:
    """A function."""
    return "\n".join([head, "{", *(f"    {line}" for line in lines), "}"])


def _identifiers(names: Iterable[str]) -> list[str]:
    """An identifier for each name, as near to it as C allows, all of them different."""
    found: list[str] = []
    for name in names:
        plain = unicodedata.normalize("NFKD", str(name)).encode("ascii", "ignore").decode()
        word = re.sub(r"\W+", "_", plain, flags=re.ASCII).strip("_") or "column"
        if not word[0].isalpha() or word in RESERVED:
            word = f"column_{word}"
        base, number = word, 1
        while word in found:
            number += 1
            word = f"{base}_{number}"
        found.append(word)
    return found
