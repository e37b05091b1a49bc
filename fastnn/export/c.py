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

from fastnn.export.description import Description, Scaling, describe_one
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
    $real out[$n];
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
        $real x[$n_in];
        for (int k = 0; k < $n_in; ++k) x[k] = ($real)NAN;
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
    * behind a `TableEncoder`, ``const network_row *row`` for x: a struct with a member for each column;
    * ``network_test()``, where NETWORK_TEST is defined: how many of some predictions are wrong on this machine.

    There is no heap and nothing that changes, so that threads may share it; NETWORK_SCRATCH says how many bytes of the
    stack its arrays take.  NaN makes NaN of all outputs and -1 of the class, unless it is compiled with -ffast-math.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor or Pipeline
        A fitted estimator of fastnn or of scikit-learn; or a Pipeline that ends with one, after a `TableEncoder`, a
        StandardScaler, MinMaxScaler, MaxAbsScaler or RobustScaler, or several of these.
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
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or name in RESERVED:
        raise ValueError(f"name is {name!r}, but an identifier of C is wanted: a letter, then letters, digits and _")
    return _Header(describe_one(model), name).text()


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
        self.coefs = [np.asarray(coef, self.dtype) for coef in model.coefs]
        self.intercepts = [np.asarray(intercept, self.dtype) for intercept in model.intercepts]
        if not all(np.isfinite(array).all() for array in (*self.coefs, *self.intercepts)):
            raise ValueError("coefs_ or intercepts_ hold NaN or infinity, but numbers are wanted")
        self.n_in, self.n_last = self.coefs[0].shape[0], self.coefs[-1].shape[1]
        #: One logistic output of classes is the probability of the second; that of the first is wanted as well.
        self.is_of_two = model.task == "classes" and model.out_activation == "logistic"
        self.n_out = 2 if self.is_of_two else self.n_last
        self.n_classes = 0 if model.classes is None else len(model.classes)
        #: What the activations compute, but for those that do nothing.
        self.laws = {law: value for law in model.activations if (value := expression(law.value)).op != "arg"}
        self.columns: list[Column] = [column for _, column in model.columns or []]
        self.members = _identifiers(column.name for column in self.columns)
        self.input = f"const {name}_row *row" if self.columns else f"const {self.real} *x"
        self.given = "row" if self.columns else "x"
        self.predict = "predict" if model.task == "numbers" else "predict_proba"
        # The inputs of the layers are in two arrays by turns; the first are where they came from, unless scaled.
        widths = [self.n_in if model.scalings else 0, *(coef.shape[1] for coef in self.coefs[:-1])]
        self.rooms = [max(widths[first::2], default=0) for first in (0, 1)]

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
        known = {"name": self.name, "macro": self.macro, "real": self.real, "f": f, "n": self.n_out, "n_in": self.n_in}
        known |= {"input": self.input, "given": self.given, "predict": self.predict}
        return Template(template.strip("\n")).substitute(known | values)

    def _number(self, value: Any) -> str:
        return _number(self.dtype.type(value))

    def _array(self, name: str, values: npt.ArrayLike) -> str:
        numbers = np.asarray(values, self.dtype).ravel()
        return _array(f"static const {self.real} {self.name}_{name}[{numbers.size}]", map(_number, numbers))

    def _title(self) -> str:
        from fastnn import __version__

        model, name, macro, real = self.model, self.name, self.macro, self.real
        units = [f"{coef.shape[1]}" for coef in self.coefs]
        laws = [*(_comment(law.name) for law in model.activations), model.out_activation]
        layers = ", ".join([f"{self.n_in} inputs", *(f"{n} {law}" for n, law in zip(units, laws, strict=True))])
        given = "&row" if self.columns else "x"
        use = [f"{name}_row row;" if self.columns else f"{real} x[{macro}_N_FEATURES];"]
        use += [f"{real} out[{macro}_N_OUTPUTS];"]
        use += [f"{name}_{self.predict}({given}, out);"]
        if model.task == "classes":
            use += [f"int k = {name}_predict({given});   the class is {name}_classes[k], its probability out[k]"]
        elif model.task == "labels":
            use += [f"int has[{macro}_N_OUTPUTS];", f"{name}_predict({given}, has);   1 or 0 for each label"]
        n_numbers = sum(array.size for array in (*self.coefs, *self.intercepts))
        lines = [f"{name}: a multilayer perceptron, {layers}. Written by fastnn {__version__}.", ""]
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
        n_numbers = sum(self.rooms) + (self.n_in if self.columns else 0)
        n_numbers += self.n_out if self.model.task != "numbers" else 0
        sizes = {"N_FEATURES": self.n_in, "N_OUTPUTS": self.n_out, "SCRATCH": max(n_numbers, 1) * self.dtype.itemsize}
        if self.model.task == "classes":
            sizes["N_CLASSES"] = self.n_classes
        return "\n".join(f"#define {self.macro}_{name} {size}" for name, size in sizes.items())

    def _constants(self) -> Iterator[str]:
        if self.model.task == "classes" and self.model.classes is not None:
            yield _classes(f"{self.name}_classes", self.model.classes)
        for number, scaling in enumerate(self.model.scalings, 1):
            yield from (self._array(f"{name}{number}", values) for name, values in self._scaled(scaling).items())
        for l, (coef, intercept) in enumerate(zip(self.coefs, self.intercepts, strict=True), 1):
            yield self._array(f"W{l}", coef)
            yield self._array(f"b{l}", intercept)

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
        names = "a", "z"
        lines += [f"{self.real} {name}[{n}];" for name, n in zip(names, self.rooms, strict=True) if n]
        for number, scaling in enumerate(model.scalings, 1):
            lines += self._scale(number, list(self._scaled(scaling)), x, names[0])
            x = names[0]
        n_in = self.n_in
        for l, coef in enumerate(self.coefs, 1):
            z = "out" if l == len(self.coefs) else names[l % 2]
            n_out = coef.shape[1]
            lines += [f"{self.name}_layer({self.name}_W{l}, {self.name}_b{l}, {n_in}, {n_out}, {x}, {z});"]
            if z != "out" and (law := model.activations[l - 1]) in self.laws:
                g = f"{self.name}_g{list(self.laws).index(law) + 1}"
                lines += [f"for (int j = 0; j < {n_out}; ++j) {z}[j] = {g}({z}[j]);"]
            x, n_in = z, n_out
        g = f"{self.name}_g"
        if self.is_of_two:  # g(-z) and not 1 - g(z), which is 0 for a small one
            lines += [f"out[1] = {g}(out[0]);", f"out[0] = {g}(-out[0]);"]
        elif model.out_activation == "softmax":
            lines += [f"{self.name}_softmax(out, {self.n_last});"]
        elif model.out_activation != "identity":
            lines += [f"for (int j = 0; j < {self.n_last}; ++j) out[j] = {g}(out[j]);"]
        if model.is_sorted:
            lines += [f"{self.name}_sort(out, {self.n_last});"]
        return _block(f"static inline void {self.name}_{name}(const {self.real} *x, {self.real} *out)", lines)

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
        for column, member in zip(self.columns, self.members, strict=True):
            kind = "const char *" if isinstance(column, Category) else "double "
            what = {"date": "seconds since 1970-01-01 UTC", "boolean": "0 or 1"}.get(str(column.kind), str(column.kind))
            seen = f", in training {_comment(column.detail)}" if column.detail else ""
            lines += [f"    {kind}{member}; /* {_comment(column.name)}: {what}{seen} */"]
        first = "/* A row of the table: NAN, or NULL, where a value is missing. */\ntypedef struct {"
        yield "\n".join([first, *lines, f"}} {name}_row;"])
        n, body = 0, []
        for number, (column, member) in enumerate(zip(self.columns, self.members, strict=True), 1):
            if isinstance(column, Category):
                values = {code: value for value, code in column._codes_by_value.items() if _VALUE.fullmatch(value)}
                yield _texts(f"{name}_labels{number}", column.categories)
                yield _texts(f"{name}_values{number}", [values.get(code) for code in range(len(column.categories))])
                arguments = f"{len(column.categories)}, {int(column.missing)}, x + {n}"
                body += [f"{name}_category(row->{member}, {name}_labels{number}, {name}_values{number}, {arguments});"]
            else:
                numbers = column.median, *column.beyond(FARTHEST), column.mean, column.scale
                arguments = ", ".join(_number(np.float64(number)) for number in numbers)
                body += [f"x[{n}] = {name}_number(row->{member}, {arguments});"]
            n += len(column.outputs)
        if any(isinstance(column, Number) for column in self.columns):
            yield self._filled(_NUMBER, as_float="(float)" if self.real == "float" else "(double)(float)")
        if any(isinstance(column, Category) for column in self.columns):
            missing = f"    {_texts('missing', sorted(MISSING))}".replace("\n", "\n    ")
            yield self._filled(_CATEGORY, missing=missing, n_missing=len(MISSING))
        comment = "/* What the network is given for a row: its numbers scaled, one input for each label. */\n"
        yield comment + _block(f"static inline void {name}_encode(const {name}_row *row, {self.real} *x)", body)

    def _of_row(self) -> str:
        name = self.name
        body = [f"{self.real} x[{self.n_in}];", f"{name}_encode(row, x);", f"{name}_forward(x, out);"]
        return _block(f"static inline void {name}_{self.predict}({self.input}, {self.real} *out)", body)

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
        members, X, n = [], np.empty((N_EXAMPLES, self.n_in), np.float32), 0
        for j, column in enumerate(self.columns):
            values: npt.NDArray[Any]
            if isinstance(column, Category):
                values = np.array([*column.categories[:1], *column.categories[-1:], "(none of these)", None], object)
                values = np.roll(np.resize(values, N_EXAMPLES), j)
                members.append(["NULL" if value is None else _text(value) for value in values])
            else:
                low, high = (column.mean if end is None else end for end in (column.low, column.high))
                numbers = np.roll([low, high, high + (high - low) / 4, np.nan], j)
                values = np.where(np.isfinite(numbers), numbers, np.nan)
                if column.kind == "date":
                    values = (values * 1e6).astype("datetime64[us]")
                    numbers = seconds(values)
                members.append([_number(number) for number in numbers])
            width = len(column.outputs)
            column.encode(values, X[:, n : n + width])
            n += width
        return [f"{{{', '.join(row)}}}" for row in zip(*members, strict=True)], X.astype(np.float64)

    def _predicted(self, X: Array) -> tuple[Array, Array]:
        """What comes out (n, n_out) in float64, and how far from it that of `dtype` may be, to first order."""
        model, eps = self.model, float(np.finfo(self.dtype).eps)
        error = np.finfo(np.float32).eps * abs(X) if self.columns else np.zeros_like(X)

        def apply(value: Symbol, Z: Array, error: Array) -> tuple[Array, Array]:
            A = evaluate(value, z=Z)
            reach = np.fmax(abs(evaluate(value, z=Z + error) - A), abs(evaluate(value, z=Z - error) - A))
            return A, reach + 16 * eps * (1 + abs(A))  # of what a law computes, from numbers about 1

        with np.errstate(all="ignore"):
            for s in model.scalings:
                Z = (X - s.shift) / s.divisor
                error = (error + eps**2 * abs(s.shift)) / abs(s.divisor) + 4 * eps * (abs(Z) + abs(Z + s.offset))
                X = np.clip(Z + s.offset, s.low, s.high)
            for l, (coef, intercept) in enumerate(zip(self.coefs, self.intercepts, strict=True)):
                W, b = coef.astype(np.float64), intercept.astype(np.float64)
                error = error @ abs(W) + (len(W) + 2) * eps * (abs(X) @ abs(W) + abs(b))
                X = X @ W + b
                if l < len(model.activations) and model.activations[l] in self.laws:
                    X, error = apply(self.laws[model.activations[l]], X, error)
            if self.is_of_two:
                X, error = np.hstack([-X, X]), np.hstack([error, error])
            if model.out_activation == "softmax":
                powers = np.exp(X - X.max(axis=1, keepdims=True))
                X = powers / powers.sum(axis=1, keepdims=True)
                error = X * np.expm1(2 * error.max(axis=1, keepdims=True)) + 16 * eps
            else:
                X, error = apply(expression(OUT_ACTIVATIONS[model.out_activation]), X, error)
        if model.is_sorted:
            X, error = np.sort(X), np.broadcast_to(error.max(axis=1, keepdims=True), error.shape)
        return X, np.nan_to_num(error, nan=1e300, posinf=1e300)


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
