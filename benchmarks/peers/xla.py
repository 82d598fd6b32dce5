"""JAX: the whole step, optimizer included, in one jitted function; batches are cut out inside it.

`training` calls it once a step. `training_scan` runs a stretch of steps in one jitted `lax.scan`.
"""

from __future__ import annotations

from functools import partial


def training(job, scan: bool = False):
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax import lax

    from benchmarks.peers import jax_models

    name, size = job.case.name, job.case.batch
    columns = [jnp.asarray(_turned(array)) for array in job.data.values()]
    weights = [jnp.asarray(_turned_weight(array)) for array in job.weights.values()]
    zeros = [jnp.zeros_like(each) for each in weights]
    state = (weights, zeros, [jnp.zeros_like(each) for each in weights])
    batches = job.case.rows // size

    def momentum(state, gradients, t):
        w, v, unused = state
        v = [0.9 * a - 0.01 * g for a, g in zip(v, gradients, strict=True)]
        return [a + b for a, b in zip(w, v, strict=True)], v, unused

    def adam(state, gradients, t):
        w, m, v = state
        m = [0.9 * a + 0.1 * g for a, g in zip(m, gradients, strict=True)]
        v = [0.999 * a + 0.001 * g * g for a, g in zip(v, gradients, strict=True)]
        rate, scale = 0.001 / (1 - 0.9 ** (t + 1)), 1 / (1 - 0.999 ** (t + 1))
        w = [a - rate * b / (jnp.sqrt(scale * c) + 1e-8) for a, b, c in zip(w, m, v, strict=True)]
        return w, m, v

    update = adam if job.case.optimizer == "adam" else momentum

    def step(state, i):
        start = i % batches * size
        batch = [lax.dynamic_slice_in_dim(each, start, size) for each in columns]
        loss, gradients = jax.value_and_grad(lambda p: jax_models.loss(name, p, batch))(state[0])
        return update(state, gradients, i.astype(jnp.float32)), loss

    one = jax.jit(step, donate_argnums=0)
    many = partial(jax.jit, donate_argnums=0)(lambda state, indices: lax.scan(step, state, indices))
    done = 0

    def run(steps: int):
        nonlocal state, done
        numbers = np.arange(done, done + steps, dtype=np.int32)
        if scan:
            state, losses = many(state, numbers)
        else:
            losses = []
            for i in numbers:
                state, loss = one(state, i)
                losses.append(loss)
        done += steps
        jax.block_until_ready((state, losses))
        return np.asarray(losses)

    return run


def inference(job, batch: int):
    import jax
    import jax.numpy as jnp
    import numpy as np

    from benchmarks.peers import jax_models

    weights = [jnp.asarray(_turned_weight(array)) for array in job.weights.values()]
    x = jnp.asarray(_turned(next(iter(job.data.values()))[:batch]))
    model = jax.jit(lambda p, x: jax_models.MODELS[job.case.name](p, x, False))
    found = []

    def run(calls: int):
        for _ in range(calls):
            found[:] = [jax.block_until_ready(model(weights, x))]

    run.outputs = lambda: np.asarray(found[0])
    return run


def _turned(array):
    return array.transpose(0, 2, 3, 1).copy() if array.ndim == 4 else array


def _turned_weight(array):
    return array.transpose(2, 3, 1, 0).copy() if array.ndim == 4 else array
