"""Who fits the segments of a plan: this process, several of this machine, or a Ray cluster."""

from __future__ import annotations

from nervcodec.encoder.plan import EncodePlan
from nervcodec.jobs.executor import Executor, SerialExecutor


def executor_of(plan: EncodePlan) -> Executor:
    """Return the executor that a plan asks for.

    Raises:
        DependencyError: it is a Ray cluster, and Ray is not installed.
        ResourceError: there is no such cluster.
    """
    if plan.options.ray is not None:
        from nervcodec.jobs.ray_cluster import RayExecutor

        uses_gpu = plan.devices[0].startswith("cuda")
        n_jobs = None if plan.options.jobs == "auto" else plan.n_jobs
        return RayExecutor(plan.options.ray, plan.n_threads, uses_gpu=uses_gpu, n_jobs=n_jobs)
    if plan.n_jobs > 1:
        from nervcodec.jobs.processes import ProcessExecutor

        return ProcessExecutor(plan.n_jobs)
    return SerialExecutor()
