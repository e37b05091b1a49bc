"""What the machine has: how many threads to use, and what `fastnn info` prints."""
import os
import platform
import sys
from importlib import metadata
from typing import Any

import joblib

import fastnn


def n_threads() -> int:
    """The threads of a team: the cores that affinity, the container's quota and Numba leave us."""
    import numba

    return min(joblib.cpu_count(), numba.get_num_threads())


def _processor() -> str:
    if sys.platform == "linux":
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.lower().startswith(("model name", "hardware", "cpu model")):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def system_info() -> dict[str, Any]:
    """Versions, processor, SIMD width, threads, threading layer and cache folder, for reports.

    Returns
    -------
    dict
        JSON-able; the cache folder is None where no folder can be written.
    """
    from numba.np.ufunc.parallel import _launch_threads, threading_layer

    from fastnn.kernels import jit, simd

    _launch_threads()              # the layer is chosen when it is first needed
    return {
        "fastnn": fastnn.__version__,
        **{name: metadata.version(name) for name in ("numba", "llvmlite", "numpy", "scikit-learn")},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "threads": n_threads(),
        "simd_bits": 8 * simd.REGISTER_BYTES,
        "tile": f"{simd.ROWS} x {simd.COLS}",
        "threading_layer": threading_layer(),
        "cache_folder": str(jit.CACHE_FOLDER) if jit.CACHE_FOLDER else None,
    }
