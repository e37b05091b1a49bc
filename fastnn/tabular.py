"""Networks for tables, with defaults that are the outcome of experiments: `TabularClassifier`, `TabularRegressor`.

Plain networks lose to boosted trees on tables because each hidden unit sees sums of columns in their own units, and
because a target jumps where a sum of smooth functions bends.  So this comes before the network: a table becomes a
matrix (`TableEncoder`), each number is scaled by its quartiles and clipped smoothly, and beside it stand pieces of it
(`PiecewiseLinearEncoder`, after Gorishniy et al. 2022).  Several networks, each with other first weights and another
part of the rows to choose its epoch by, are averaged (Holzmüller et al. 2024 for the recipe of training).
"""

import os
import warnings
from functools import partial
from math import ceil
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import check_scoring
from sklearn.utils import check_array, check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from fastnn import inference
from fastnn.estimators import Exported, InCompiledCode, MLPClassifier, MLPRegressor, takes_weights
from fastnn.inference import Units
from fastnn.many import at_once
from fastnn.network import Array
from fastnn.pieces import PieceMatrix
from fastnn.system import get_n_threads
from fastnn.tables import TableEncoder

#: Fewer rows than this are all trained on, and the last epoch counts.
FEWEST_TO_VALIDATE = 50
#: What a preset stands for: `docs/tabular.md` has what each costs and brings.
PRESETS = {
    "accurate": {"n_members": 5, "max_iter": 128},
    "fast": {"n_members": 2, "max_iter": 64},
}
#: Examples in a batch, for up to so many rows (RealMLP's table).
BATCHES = ((1024, 64), (8192, 128), (30_000, 256), (100_000, 512), (np.inf, 1024))


def _quantiles(x: Array, q: Array, weights: Array | None) -> Array:
    """Quantiles of numbers that count for their weights; without weights, or with equal ones, NumPy's.

    A row of weight 2 is two rows; where rows weigh less than one in the mean, it is the mean that counts as one.
    """
    if weights is None:
        return np.quantile(x, q)
    order = np.argsort(x, kind="stable")
    x, w = x[order], weights[order]
    x, w = x[w > 0], w[w > 0]
    w = w / min(w.mean(), 1.0)
    # What NumPy's positions 0 to n - 1 would be, by linear interpolation.
    ends = np.cumsum(w)
    places = np.concatenate([ends - w, np.maximum(ends - 1, ends - w)])
    values = np.concatenate([x, x])
    order = np.argsort(places, kind="stable")
    return np.interp(q * (ends[-1] - 1), places[order], values[order])


class PiecewiseLinearEncoder(TransformerMixin, inference.PiecewiseLinearEncoder, BaseEstimator):
    """Scale each column of a matrix by its quartiles, and put pieces of it beside it.

    With z = s (x - median), clipped smoothly to between -3 and 3:

        z / sqrt(1 + (z / 3)^2)                              one column
        min(max((x - t_k) / (t_{k+1} - t_k), 0), 1) - 1/2    n_bins columns, with quantiles t_k

    and for a column with one or two values only the first.  A network is piecewise linear in each column then, from its
    first layer on, as fine as the data are dense.

    Parameters
    ----------
    n_bins : int, default 48
        Pieces of each column, fewer where quantiles are equal; 0 for none.

    Attributes
    ----------
    center_, scale_ : array (n_features,)
        The medians, and s = 1 / (q75 - q25); 2 / (max - min) where the quartiles are equal, 0 where all values are.
    edges_ : list of arrays
        t of each column; empty where it has no pieces.
    n_features_in_ : int

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import PiecewiseLinearEncoder
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> PiecewiseLinearEncoder(n_bins=4).fit_transform(X).shape
    (100, 15)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_bins": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(self, n_bins: int = 48) -> None:
        self.n_bins = n_bins

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: npt.ArrayLike, y: Any = None, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Learn medians, scales and quantiles.

        Parameters
        ----------
        X : array-like (n_samples, n_features)
            Numbers.
        y : None
            Not looked at.
        sample_weight : array-like (n_samples,) or None
            What each row counts for; None for 1.

        Returns
        -------
        self
        """
        X = self._validated(X, reset=True)
        weights = _weights(sample_weight, X)
        if weights is not None and np.ptp(weights) == 0:
            weights = None
        rows = X if weights is None else X[weights > 0]
        n = X.shape[1]
        self.center_, self.scale_, self.edges_ = np.empty(n), np.empty(n), []
        levels = np.linspace(0, 1, self.n_bins + 1)
        for j in range(n):
            low, middle, high = _quantiles(X[:, j], np.array([0.25, 0.5, 0.75]), weights)
            least, most = rows[:, j].min(), rows[:, j].max()
            width = high - low if high > low else (most - least) / 2
            self.center_[j], self.scale_[j] = middle, min(1 / width, 1e300) if width > 0 else 0.0
            is_wide = least < most and ((rows[:, j] != least) & (rows[:, j] != most)).any()
            edges = np.unique(_quantiles(X[:, j], levels, weights)) if is_wide and self.n_bins else np.empty(0)
            self.edges_.append(edges if len(edges) > 1 else np.empty(0))
        return self

    def transform(self, X: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """The columns, scaled and clipped, then their pieces.

        Parameters
        ----------
        X : array-like (n_samples, n_features)
            Numbers.

        Returns
        -------
        array (n_samples, n_features_out)
            float32.
        """
        check_is_fitted(self)
        return super().transform(self._validated(X, reset=False))

    def _pieces(self, X: npt.ArrayLike) -> PieceMatrix:
        """The same matrix, up to roundings, held by positions."""
        X = self._validated(X, reset=False)
        wide = [j for j, edges in enumerate(self.edges_) if len(edges)]
        positions = np.empty((len(X), len(wide)), np.float32)
        for c, j in enumerate(wide):
            positions[:, c] = np.interp(X[:, j], self.edges_[j], np.arange(len(self.edges_[j])))
        return PieceMatrix(self._scaled(X).astype(np.float32), positions, tuple(len(self.edges_[j]) - 1 for j in wide))

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """One name for each column of the matrix.

        Parameters
        ----------
        input_features : sequence of str or None, default None
            Names of the columns of X; None for those that `fit` saw, or x0, x1 ...

        Returns
        -------
        array (n_features_out,) of str
        """
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", [f"x{j}" for j in range(self.n_features_in_)])
        names = list(map(str, names if input_features is None else input_features))
        if len(names) != self.n_features_in_:
            raise ValueError(f"input_features has {len(names)} names, but X had {self.n_features_in_} columns")
        out = list(names)
        for name, edges in zip(names, self.edges_, strict=True):
            out += [f"{name} piece {k}" for k in range(len(edges) - 1)]
        return np.array(out, object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _validated(self, X: Any, reset: bool) -> Array:
        from sklearn.utils.validation import validate_data

        return validate_data(self, X, dtype=np.float64, reset=reset)


def _weights(sample_weight: Any, X: Any) -> npt.NDArray[np.float64] | None:
    """What each row counts for, in float64; of huge numbers, in units of the largest."""
    if sample_weight is None:
        return None
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("sample_weight is 0 for all rows, but one at least must count")
    return np.asarray(weights / weights.max() if weights.max() > 1e30 else weights)


_PARAMETERS = """    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default (128, 128, 128)
        The widths of the hidden layers.
    preset : {{"accurate", "fast"}}, default "accurate"
        What `n_members` and `max_iter` are where they are None: 5 and 128; or, for a fifth of the time and a few
        percent more error, 2 and 64.
    n_members : int or None, default None
        Networks whose predictions are averaged; None for the preset's.
    activation : str or Activation, or a sequence of these, default "mish"
        g of the hidden layers: see `{network}`.
    n_bins : int, default 48
        How many pieces of each number stand beside it: see `PiecewiseLinearEncoder`.
    dropout : float, default 0
        Which part of the hidden units is left out at random in each step.
    alpha : float, default 0.02
        Which part of themselves, times the step size, the weights lose in a step (AdamW).
    learning_rate_init : float, default 0.003
        The largest step size of the four cycles that "coslog4" consists of (Holzmüller et al. 2024).
    batch_size : int or "auto", default "auto"
        Examples in a batch; "auto" for 64 (up to 1024 rows), 128 (8192), 256 (30 000), 512 (100 000) or 1024.
    max_iter : int or None, default None
        Epochs; None for the preset's.
    validation_fraction : float, default 0.1
        The part of the rows that each member sets aside, another part for each, to choose its epoch by; one row of each
        class stays.  Of fewer than 50 rows none are, and the last epoch counts.
{more}    encoder : TableEncoder, FrozenEstimator or None, default None
        What makes a matrix of a table; None for one with its defaults.  It is cloned and fitted; one that is fitted
        already, in scikit-learn's `FrozenEstimator`, is taken as it is.
    checkpoint : path or None, default None
        A folder for the states of the members, which is made where there is none (it needs safetensors).  A `fit` with
        the same table and parameters that finds it there goes on from it, to the same bits, on however many threads,
        and trains no member again that is finished; one with others refuses it.  So it is for one fit, and not for a
        search.
    checkpoint_interval : float, default 30
        Seconds from one state of a member to the next.
    max_time : float or None, default None
        Seconds for the training of all members, of which each ends at the end of an epoch.
    random_state : int, RandomState or None, default None
        In each member for the first weights, the order of the rows and those set aside.
    n_threads : int or None, default None
        How many threads at most; None for the limit of the process.  Each trains a member of its own.

    Attributes
    ----------
    estimators_ : list of {network}
        The members, on the matrix of the embedding.
    encoder_, embedding_ : TableEncoder, PiecewiseLinearEncoder
        What makes that matrix.
    history_ : list of dicts
        `history_` of each member.
    n_iter_ : int
        Epochs: those of the member with the most.
    n_features_in_ : int
        Columns of the table.
    feature_names_in_ : array of str
        Their names, if they have some.
"""


class _Tabular(inference._Tabular, Exported, InCompiledCode, BaseEstimator):
    """What the classifier and the regressor share."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "preset": [StrOptions(set(PRESETS))],
        "n_members": [Interval(Integral, 1, None, closed="left"), None],
        "n_bins": PiecewiseLinearEncoder._parameter_constraints["n_bins"],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "encoder": [TableEncoder, FrozenEstimator, None],
        **{name: MLPRegressor._parameter_constraints[name] for name in ("checkpoint", "checkpoint_interval")},
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "random_state": ["random_state"],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
    }

    def _fit(self, X: Any, y: Any, sample_weight: Any, held_out: tuple[Any, Any, Any]) -> Self:
        """Fit the embedding and the members; y and that of the held-out rows as the members take them.

        Where that fails, everything is as it was.
        """
        before = dict(self.__dict__)
        try:
            return self._fit_all(X, y, sample_weight, held_out)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _fit_all(self, X: Any, y: Any, sample_weight: Any, held_out: tuple[Any, Any, Any]) -> Self:
        from sklearn.base import clone

        from fastnn.training.calls import here

        encoder = TableEncoder() if self.encoder is None else clone(self.encoder)
        self.encoder_ = encoder.estimator if isinstance(encoder, FrozenEstimator) else encoder.fit(X)
        if not isinstance(encoder, FrozenEstimator):
            self._tell_of_left_out()
        if not isinstance(self.encoder_, TableEncoder):
            raise TypeError(f"encoder is a frozen {type(self.encoder_).__name__}, but a frozen TableEncoder is wanted")
        matrix = np.asarray(self.encoder_.transform(X))  # `set_output` may have it make data frames
        self.n_features_in_ = self.encoder_.n_features_in_
        self.__dict__.pop("feature_names_in_", None)
        if hasattr(self.encoder_, "feature_names_in_"):
            self.feature_names_in_ = self.encoder_.feature_names_in_
        n_members, max_iter = map(self._wanted, ("n_members", "max_iter"))
        random = check_random_state(self.random_state)
        seeds = random.randint(2**31 - 1, size=n_members).tolist()
        self.embedding_ = PiecewiseLinearEncoder(self.n_bins)
        matrix = self._held(self.embedding_.fit(matrix, sample_weight=sample_weight), matrix)
        X_val, y_val, weights_val = held_out
        if X_val is None and any(each is not None for each in held_out):
            raise ValueError(
                f"X_val and y_val belong together, got {'y_val' if y_val is not None else 'sample_weight_val'} alone"
            )
        more: dict[str, Any] = {}
        if X_val is not None:
            more = dict(
                X_val=self._held(self.embedding_, np.asarray(self.encoder_.transform(X_val))),
                y_val=y_val,
                sample_weight_val=weights_val,
            )
        is_validated = X_val is not None or len(matrix) >= FEWEST_TO_VALIDATE
        n_rows = len(matrix)
        if X_val is None and is_validated:  # as scikit-learn's train_test_split cuts them
            n_rows -= ceil(self.validation_fraction * n_rows)
        batch_size = self.batch_size
        if batch_size == "auto":
            batch_size = next(size for most, size in BATCHES if n_rows <= most)
        wanted = min(get_n_threads(self.n_threads), n_members)
        turns = -(-n_members // wanted)

        folder = None
        if self.checkpoint is not None:
            from fastnn.checkpoints import CheckpointFolder

            folder = CheckpointFolder(self, [matrix, y, sample_weight], [*more.values()], seeds)
            seeds = folder.seeds
        networks = [
            self._member(
                hidden_layer_sizes=self.hidden_layer_sizes,
                activation=self.activation,
                solver="adamw",
                alpha=self.alpha,
                batch_size=min(batch_size, n_rows),
                learning_rate="coslog4",
                learning_rate_init=self.learning_rate_init,
                max_iter=max_iter,
                beta_2=0.95,
                init="he",
                dropout=self.dropout,
                early_stopping=is_validated,
                validation_fraction=self.validation_fraction,
                best_epoch="last",
                tol=0.0,
                n_iter_no_change=max_iter,
                checkpoint=folder.member(number) if folder else None,
                checkpoint_interval=self.checkpoint_interval,
                max_time=None if self.max_time is None else self.max_time / turns,
                random_state=seed,
                n_threads=self.n_threads,
            )
            for number, seed in enumerate(seeds)
        ]
        for network in networks:
            network._is_to_converge = False  # it is trained for as many epochs as were wanted

        def fit(network: Any) -> Any:
            rows = self._split(y, network.random_state) if is_validated and X_val is None else None
            if rows is None:
                return network.fit(matrix, y, sample_weight, **more)
            weights = [None, None] if sample_weight is None else [sample_weight[part] for part in rows]
            to_train, aside = rows
            held_out = dict(X_val=matrix[aside], y_val=y[aside], sample_weight_val=weights[1])
            return network.fit(matrix[to_train], y[to_train], weights[0], **held_out)

        try:
            at_once([partial(fit, network) for network in networks], self.n_threads)
        except KeyboardInterrupt:
            begun = [network for network in networks if getattr(network, "n_iter_", 0)]
            if not begun or here.is_one_of_many:
                raise
            warnings.warn(
                f"Training interrupted by user: {len(begun)} of {n_members} members have begun.", stacklevel=1
            )
            networks = begun
        if idle := [network for network in networks if not network.n_iter_]:
            networks = [network for network in networks if network.n_iter_] or networks
            warnings.warn(
                f"max_time={self.max_time:g} seconds were over before the first epoch of {len(idle)} of {n_members} "
                f"members was: {'their weights are the first ones' if len(idle) == n_members else 'they are left out'}",
                ConvergenceWarning,
                stacklevel=5,
            )
        for network in networks:
            network.checkpoint = None  # it was for this fit
            del network._is_to_converge
        self.estimators_ = networks
        self.history_ = [network.history_ for network in self.estimators_]
        self.n_iter_ = max(network.n_iter_ for network in self.estimators_)
        return self

    def _tell_of_left_out(self) -> None:
        """Warn of columns that may be more than the names of the rows."""
        usual = "no values", "always", "as told"
        left_out = [
            f"{name!r} ({reason})" for name, reason in self.encoder_.left_out_.items() if not reason.startswith(usual)
        ]
        if left_out:
            warnings.warn(
                f"left out are the columns {', '.join(left_out)}: encoder=TableEncoder(numeric=[...]), or categorical, "
                "reads those that it names",
                stacklevel=6,
            )

    def _wanted(self, name: str) -> int:
        """A parameter, or what the preset has in its place."""
        given: int | None = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given

    def _column(self, y: Any, dtype: Any) -> npt.NDArray[Any]:
        """The targets; one column of them in one dimension."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        y = check_array(y, ensure_2d=False, dtype=dtype, input_name="y")
        return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _member(self, **parameters: Any) -> Any:
        raise NotImplementedError

    def _split(self, y: npt.NDArray[Any], seed: int) -> list[npt.NDArray[np.intp]] | None:
        """The rows to train on and to set aside, where scikit-learn's train_test_split can not cut them."""
        return None

    @staticmethod
    def _held(embedding: PiecewiseLinearEncoder, matrix: Array) -> Any:
        """What the members are trained on: pieces are held by positions, if there are some."""
        pieces = embedding._pieces(matrix)
        return pieces if pieces.n_pieces else pieces.numbers

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.non_deterministic = self.random_state is None
        return tags


class TabularClassifier(ClassifierMixin, inference.TabularClassifier, _Tabular):
    __doc__ = f"""Classes of the rows of a table, without tuning: networks on an embedding of its columns.

    Tables may be data frames (pandas, polars, Arrow) or arrays, with numbers, texts, booleans and dates, and missing
    values.  Probabilities are what it is trained for: those of the rows that are set aside choose the epoch, and how
    sure the network may be.

{
        _PARAMETERS.format(
            network="MLPClassifier",
            more='''    scoring : str, callable or None, default "calibrated_loss"
        What chooses the epoch: "calibrated_loss", the log loss that is left once the probabilities are as sure as they
        should be, which they are made in the end; "loss", None for the accuracy, or a scorer of scikit-learn.
    label_smoothing : float, default 0
        What each label is sure of less than 1; for accuracy 0.1 may help, and probabilities are worse for it.
    class_weight : dict, "balanced" or None, default None
        What the examples of each class count for, besides `sample_weight`.
''',
        )
    }    classes_ : array (n_classes,)
        The labels, sorted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastnn import TabularClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> TabularClassifier(max_iter=30, random_state=0).fit(X, y).score(X, y) > 0.95
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_Tabular._parameter_constraints,
        **{name: MLPClassifier._parameter_constraints[name] for name in ("scoring", "label_smoothing", "class_weight")},
        **{name: MLPClassifier._parameter_constraints[name] for name in ("activation", "dropout", "alpha")},
    }

    def __init__(
        self,
        hidden_layer_sizes: npt.ArrayLike = (128, 128, 128),
        *,
        preset: str = "accurate",
        n_members: int | None = None,
        activation: Any = "mish",
        n_bins: int = 48,
        dropout: float = 0.0,
        alpha: float = 0.02,
        learning_rate_init: float = 0.003,
        batch_size: int | str = "auto",
        max_iter: int | None = None,
        validation_fraction: float = 0.1,
        scoring: Any = "calibrated_loss",
        label_smoothing: float = 0.0,
        class_weight: Any = None,
        encoder: TableEncoder | FrozenEstimator | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_interval: float = 30.0,
        max_time: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        n_threads: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.preset = preset
        self.n_members = n_members
        self.activation = activation
        self.n_bins = n_bins
        self.dropout = dropout
        self.alpha = alpha
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
        self.encoder = encoder
        self.checkpoint = checkpoint
        self.checkpoint_interval = checkpoint_interval
        self.max_time = max_time
        self.random_state = random_state
        self.n_threads = n_threads

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: npt.ArrayLike | None = None,
        sample_weight_val: npt.ArrayLike | None = None,
    ) -> Self:
        """Train on a table and its labels.

        Parameters
        ----------
        X : data frame or array-like (n_samples, n_columns)
            Rows to learn from.
        y : array-like (n_samples,)
            Their classes.
        sample_weight : array-like (n_samples,) or None
            What each row counts for; None for 1.
        X_val, y_val, sample_weight_val : data frame or array-like
            Rows to choose the epoch by, in place of a part of X.

        Returns
        -------
        self
        """
        y = self._column(y, None)
        check_classification_targets(y)
        if y.ndim > 1:
            raise ValueError(
                f"y has shape {y.shape}, but a TabularClassifier learns one class of each row: "
                "sklearn.multioutput.MultiOutputClassifier takes several columns"
            )
        weights = _weights(sample_weight, y)
        self._fit(X, y, weights, (X_val, y_val, sample_weight_val))
        self.classes_ = np.unique(y)
        return self

    def _split(self, y: npt.NDArray[Any], seed: int) -> list[npt.NDArray[np.intp]] | None:
        """The rows to train on and to set aside, where no part of them can have all classes in proportion."""
        counts, n = np.unique(y, return_counts=True)[1], len(y)
        n_aside = ceil(self.validation_fraction * n)
        if counts.min() > 1 and min(n_aside, n - n_aside) >= len(counts):
            return None  # scikit-learn's train_test_split can
        order = np.random.RandomState(seed).permutation(n)
        spare = np.delete(order, np.unique(y[order], return_index=True)[1])  # one row of each class stays
        return [np.setdiff1d(order, spare[:n_aside]), np.sort(spare[:n_aside])]

    def _member(self, **parameters: Any) -> MLPClassifier:
        return MLPClassifier(
            **parameters,
            scoring=self.scoring,
            label_smoothing=self.label_smoothing,
            class_weight=self.class_weight,
        )


class _Scorer:
    """A scorer of targets as they are, for a member, which has them standardised."""

    def __init__(self, scorer: Any, units: Units, is_without_weights: bool) -> None:
        self.scorer, self.units, self.is_without_weights = scorer, units, is_without_weights

    def __call__(self, member: MLPRegressor, X: Any, y: Any, sample_weight: Any = None) -> Any:
        more = {} if sample_weight is None or self.is_without_weights else {"sample_weight": sample_weight}
        return self.scorer(_InUnits(member, self.units), X, self.units.restored(np.asarray(y, np.float64)), **more)


class _InUnits(RegressorMixin, BaseEstimator):
    """A member that predicts targets as they are."""

    def __init__(self, member: MLPRegressor, units: Units) -> None:
        self.member, self.units = member, units

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: Any) -> Array:
        return self.units.restored(np.asarray(self.member.predict(X), np.float64))


class TabularRegressor(RegressorMixin, inference.TabularRegressor, _Tabular):
    __doc__ = f"""Numbers for the rows of a table, without tuning: networks on an embedding of its columns.

    Tables may be data frames (pandas, polars, Arrow) or arrays, with numbers, texts, booleans and dates, and missing
    values.  Targets are standardised within, and predictions stay between the least and the largest of them.

{
        _PARAMETERS.format(
            network="MLPRegressor",
            more='''    scoring : str, callable or None, default "loss"
        What chooses the epoch: "loss", the squared error; None for R^2, or a scorer of scikit-learn.
''',
        )
    }
    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from fastnn import TabularRegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> TabularRegressor(max_iter=30, random_state=0).fit(X, y).score(X, y) > 0.5
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_Tabular._parameter_constraints,
        "scoring": MLPRegressor._parameter_constraints["scoring"],
        **{name: MLPRegressor._parameter_constraints[name] for name in ("activation", "dropout", "alpha")},
    }

    def __init__(
        self,
        hidden_layer_sizes: npt.ArrayLike = (128, 128, 128),
        *,
        preset: str = "accurate",
        n_members: int | None = None,
        activation: Any = "mish",
        n_bins: int = 48,
        dropout: float = 0.0,
        alpha: float = 0.02,
        learning_rate_init: float = 0.003,
        batch_size: int | str = "auto",
        max_iter: int | None = None,
        validation_fraction: float = 0.1,
        scoring: Any = "loss",
        encoder: TableEncoder | FrozenEstimator | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_interval: float = 30.0,
        max_time: float | None = None,
        random_state: int | np.random.RandomState | None = None,
        n_threads: int | None = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.preset = preset
        self.n_members = n_members
        self.activation = activation
        self.n_bins = n_bins
        self.dropout = dropout
        self.alpha = alpha
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.validation_fraction = validation_fraction
        self.scoring = scoring
        self.encoder = encoder
        self.checkpoint = checkpoint
        self.checkpoint_interval = checkpoint_interval
        self.max_time = max_time
        self.random_state = random_state
        self.n_threads = n_threads

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: npt.ArrayLike | None = None,
        sample_weight_val: npt.ArrayLike | None = None,
    ) -> Self:
        """Train on a table and its targets.

        Parameters
        ----------
        X : data frame or array-like (n_samples, n_columns)
            Rows to learn from.
        y : array-like (n_samples,) or (n_samples, n_targets)
            Numbers.
        sample_weight : array-like (n_samples,) or None
            What each row counts for; None for 1.
        X_val, y_val, sample_weight_val : data frame or array-like
            Rows to choose the epoch by, in place of a part of X.

        Returns
        -------
        self
        """
        y = self._column(y, np.float64)
        weights = _weights(sample_weight, y)
        units = Units.of(y, weights)
        numbers = units.standardised(y)
        if y_val is not None:
            y_val = units.standardised(check_array(y_val, ensure_2d=False, dtype=np.float64, input_name="y_val"))
        self._units = units
        try:
            self._fit(X, numbers, weights, (X_val, y_val, sample_weight_val))
        finally:
            del self._units
        self.y_min_, self.y_max_, self.y_mean_, self.y_scale_ = units
        return self

    def _member(self, **parameters: Any) -> MLPRegressor:
        scoring = self.scoring
        if scoring not in (None, "loss"):
            scoring = _Scorer(
                check_scoring(self, scoring), self._units, callable(scoring) and not takes_weights(scoring)
            )
        return MLPRegressor(**parameters, scoring=scoring, output_intercepts="mean")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
