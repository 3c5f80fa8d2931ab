"""LAPACK gets one thread, in every copy of OpenBLAS that the process holds."""

import jax.numpy as jnp
import threadpoolctl

from wctstyle.threads import limit_lapack_threads


def test_every_blas_has_one_thread_after_the_call():
    with threadpoolctl.threadpool_limits(limits=2, user_api="blas"):
        limit_lapack_threads()
        jnp.linalg.eigh(jnp.eye(3))
        pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        assert all(pool["num_threads"] == 1 for pool in pools), pools
