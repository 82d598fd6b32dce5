"""The peers, a module each, all with the same two functions.

    training(job) -> run(steps) -> losses      the first call compiles
    inference(job, batch) -> run(calls)        and `outputs()`, the result of the last call

`job` is what `benchmarks.worker.Job` reads: the case, its data and weights, the number of threads.
A module is imported in a process of its own, after that process was held to its processors.
"""
