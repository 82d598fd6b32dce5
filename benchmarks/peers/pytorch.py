"""PyTorch, eager: the usual loop, with the fused optimizer, which is its fastest."""

from __future__ import annotations


def training(job, compiled: bool = False, before: bool = False, bfloat16: bool = False):
    import torch

    from benchmarks.peers import torch_models

    torch.set_num_threads(job.threads)
    model = torch_models.model(job.case.name, job.weights, before)
    trained = [each for each in model.parameters() if each.requires_grad]
    if job.case.optimizer == "adam":
        optimizer = torch.optim.Adam(trained, lr=0.001, fused=True)
    else:
        optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9, fused=True)

    def loss_of(*batch):
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            return torch_models.loss(job.case.name, model, batch)

    if compiled:
        loss_of = torch.compile(loss_of)
    columns = [torch.from_numpy(array) for array in job.data.values()]
    size, batches = job.case.batch, job.case.rows // job.case.batch
    done = 0

    def run(steps: int):
        nonlocal done
        losses = []
        for i in range(done, done + steps):
            start = i % batches * size
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(*(each[start : start + size] for each in columns))
            loss.backward()
            optimizer.step()
            losses.append(loss.detach().float())
        done += steps
        return torch.stack(losses).numpy()

    return run


def inference(job, batch: int, compiled: bool = False):
    import torch

    from benchmarks.peers import torch_models

    torch.set_num_threads(job.threads)
    model = torch_models.model(job.case.name, job.weights).eval()
    if compiled:
        model = torch.compile(model)
    x = torch.from_numpy(next(iter(job.data.values()))[:batch])
    found = []

    def run(calls: int):
        with torch.inference_mode():
            for _ in range(calls):
                found[:] = [model(x)]

    run.outputs = lambda: found[0].numpy()
    return run
