"""What an option of training costs a step, beside the same network without it, and beside PyTorch with it.

Both compute the same formulas on the same data; PyTorch has its own modules, losses, optimizers and averages, the
fused ones where there are any.  One thread, and all, for each: the best counts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .clock import interleaved
from .steps import Fastnn, Torch, Workload, data, thread_counts


@dataclass(frozen=True)
class Option:
    """One option.

    Parameters
    ----------
    name : str
        How the command line calls it.
    parameters : dict
        Of our estimators.
    change : callable
        Takes PyTorch's `Torch`, and gives it the same.
    tasks : tuple of str
        The workloads that have it.
    """

    name: str
    parameters: dict[str, Any]
    change: Callable[[Any], None]
    tasks: tuple[str, ...] = field(default=("binary", "multiclass", "regression"))


def _optimizer(name: str, **constants: Any) -> Callable[[Any], None]:
    def change(rival: Any) -> None:
        import torch

        rival.optimizer = getattr(torch.optim, name)(rival.network.parameters(), lr=1e-3, **constants)

    return change


def _activation(name: str, **constants: Any) -> Callable[[Any], None]:
    def change(rival: Any) -> None:
        from torch import nn

        for i in range(1, len(rival.network), 2):
            rival.network[i] = getattr(nn, name)(**constants)

    return change


def _dropout(rival: Any) -> None:
    from torch import nn

    first, *rest = rival.network
    layers: list[Any] = [first]
    for activation, linear in zip(rest[::2], rest[1::2], strict=True):
        layers += [activation, nn.Dropout(0.1), linear]
    rival.network = nn.Sequential(*layers)


def _input_dropout(rival: Any) -> None:
    from torch import nn

    rival.network = nn.Sequential(nn.Dropout(0.1), *rival.network)


def _label_smoothing(rival: Any) -> None:
    from functools import partial

    if rival.workload.task == "multiclass":
        rival.criterion = partial(rival.criterion, label_smoothing=0.1)
    else:
        rival.targets = 0.9 * rival.targets + 0.05


def _after_backward(act: Callable[[Any], None], after_step: bool = False) -> Callable[[Any], None]:
    """Do something before the optimizer's step, or after it."""

    def change(rival: Any) -> None:
        def learn(X: Any, y: Any) -> None:
            rival.optimizer.zero_grad()
            rival.criterion(rival.network(X), y).backward()
            if not after_step:
                act(rival)
            rival.optimizer.step()
            if after_step:
                act(rival)

        rival.learn = learn

    return change


def _clip(rival: Any) -> None:
    import torch

    torch.nn.utils.clip_grad_norm_(rival.network.parameters(), 1.0)


def _max_norm(rival: Any) -> None:
    import torch

    with torch.no_grad():
        for layer in rival.network[:-1:2]:
            layer.weight.copy_(torch.renorm(layer.weight, 2, 0, 2.0))


def _ema(rival: Any) -> None:
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    average = AveragedModel(rival.network, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    _after_backward(lambda rival: average.update_parameters(rival.network), after_step=True)(rival)


def _l1(rival: Any) -> None:
    plain, weights = rival.criterion, [layer.weight for layer in rival.network[::2]]
    rival.criterion = lambda Z, y: plain(Z, y) + 5e-5 * sum(weight.abs().sum() for weight in weights)


def _focal(rival: Any) -> None:
    def focal(Z: Any, y: Any) -> Any:
        from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

        law = cross_entropy if rival.workload.task == "multiclass" else binary_cross_entropy_with_logits
        loss = law(Z, y, reduction="none")
        return ((1 - (-loss).exp()) ** 2 * loss).mean()

    rival.criterion = focal


def _huber(rival: Any) -> None:
    from torch import nn

    rival.criterion = nn.functional.huber_loss


#: Where the options are measured, if nothing is said.
USUAL = ("defaults", "bench-mnist")
CLASSES = ("binary", "multiclass")
OPTIONS = {
    option.name: option
    for option in (
        Option("adamw", {"solver": "adamw"}, _optimizer("AdamW", weight_decay=1e-4, fused=True)),
        Option("nadam", {"solver": "nadam"}, _optimizer("NAdam")),
        Option("rmsprop", {"solver": "rmsprop"}, _optimizer("RMSprop", alpha=0.9)),
        Option("dropout", {"dropout": 0.1}, _dropout),
        Option("input_dropout", {"input_dropout": 0.1}, _input_dropout),
        Option("clip_norm", {"clip_norm": 1.0}, _after_backward(_clip)),
        Option("max_norm", {"max_norm": 2.0}, _after_backward(_max_norm, after_step=True)),
        Option("ema", {"average": "ema"}, _ema),
        Option("l1", {"l1_ratio": 0.5}, _l1),
        Option("label_smoothing", {"label_smoothing": 0.1}, _label_smoothing, CLASSES),
        Option("focal", {"loss": "focal"}, _focal, CLASSES),
        Option("huber", {"loss": "huber"}, _huber, ("regression",)),
        Option("gelu", {"activation": "gelu"}, _activation("GELU")),
        Option("gelu_tanh", {"activation": "gelu_tanh"}, _activation("GELU", approximate="tanh")),
        Option("silu", {"activation": "silu"}, _activation("SiLU")),
        Option("mish", {"activation": "mish"}, _activation("Mish")),
        Option("elu", {"activation": "elu"}, _activation("ELU")),
    )
}


class TorchWith(Torch):
    """PyTorch with an option."""

    def __init__(self, workload: Workload, X: NDArray[Any], y: NDArray[Any], n_threads: int, option: Option) -> None:
        super().__init__(workload, X, y, n_threads)
        option.change(self)
        if option.name in ("dropout", "input_dropout"):  # the parameters are the same, in another network
            import torch

            self.optimizer = torch.optim.Adam(self.network.parameters(), fused=True)


def installed() -> list[str]:
    """Names of the libraries that can be used here."""
    return ["fastnn", *(["torch"] if Torch.installed() else [])]


def measure(
    option: Option, workload: Workload, libraries: Sequence[str], *, n_runs: int, seconds: float
) -> dict[str, float]:
    """Microseconds of a step: "plain" and "fastnn" of ours without and with it, and "torch" if that is wanted.

    Parameters
    ----------
    option : Option
    workload : Workload
    libraries : sequence of str
        Of those that are installed.
    n_runs : int
        Timed runs of each.
    seconds : float
        Length of a run, roughly.
    """
    X, y = data(workload)
    turns: list[tuple[str, Any]] = []
    for n in thread_counts():
        turns += [
            ("plain", Fastnn(workload, X, y, n)),
            ("fastnn", Fastnn(workload, X, y, n, **option.parameters)),
            *([("torch", TorchWith(workload, X, y, n, option))] if "torch" in libraries else []),
        ]
    runs: list[list[float]] = [[] for _ in turns]
    for turn, step in interleaved(
        [rival.run for _, rival in turns], n_runs=n_runs, seconds=seconds, pause=0.05, least=5
    ):
        runs[turn].append(1e6 * step)
    medians: dict[str, float] = {}
    for (name, _), times in zip(turns, runs, strict=True):
        medians[name] = min(medians.get(name, np.inf), float(np.median(times)))
    return medians
