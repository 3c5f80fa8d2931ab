"""Thread limits of libraries: one thread for LAPACK, so that XLA gets the cores."""

from __future__ import annotations

import threadpoolctl


def limit_lapack_threads() -> None:
    """Give BLAS and LAPACK one thread in this process.

    On a CPU, `eigh` and `svd` of a plan's small matrices run in OpenBLAS between XLA's convolutions. After each call,
    OpenBLAS's other threads keep spinning and occupy the cores: on 2 cores, planning and decoding 512x384 pixels took
    126 ms with them and 79 ms without.
    """
    import scipy.linalg  # noqa: F401, PLC0415 (loads the OpenBLAS that jaxlib calls, so that it is limited too)

    threadpoolctl.threadpool_limits(limits=1, user_api="blas")
