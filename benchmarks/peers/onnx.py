"""ONNX Runtime, for inference: the PyTorch model, exported for the one batch size."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path


def inference(job, batch: int):
    import onnxruntime
    import torch

    from benchmarks.peers import torch_models

    x = next(iter(job.data.values()))[:batch]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        model = torch_models.model(job.case.name, job.weights).eval()
        torch.onnx.export(model, (torch.from_numpy(x),), str(file), dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job.threads
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(file), options, ["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    feed = {name: x}
    found = []

    def run(calls: int):
        for _ in range(calls):
            found[:] = session.run(None, feed)

    run.outputs = lambda: found[0]
    print(f"exported {job.case.name} for batches of {batch}", file=sys.stderr)
    return run
