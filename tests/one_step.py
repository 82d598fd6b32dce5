"""Run a program for PyTorch or Keras in a folder of made data, up to its first training steps.

python one_step.py pytorch FILE STEPS FOLDER
python one_step.py keras FILE STEPS FOLDER
"""

from __future__ import annotations

import os
import runpy
import sys
import types

import numpy as np

rng = np.random.default_rng(0)


def write_data() -> None:
    """Write a little of each file that the programs read."""
    digits = rng.random((64, 8, 8)).astype("float32") * 16
    labels = rng.integers(0, 10, 64)
    np.savez("images.npz", image=rng.random((40, 3, 32, 32)), label=labels[:40])
    for end in ("", "_val"):
        np.savez(
            f"tasks{end}.npz",
            image=digits.reshape(-1, 64),
            digit=labels,
            odd=labels % 2 == 1,
            ink=digits.mean((1, 2)),
        )
        image = digits[:, None]
        np.savez(f"pairs{end}.npz", a=image, b=image[::-1], same=labels > 4)
        np.savez(f"triplets{end}.npz", anchor=image, positive=image, negative=image[::-1])
        videos = rng.integers(0, 255, (64, 8, 1, 10, 10))
        np.savez(f"videos{end}.npz", video=videos, motion=rng.integers(0, 5, (64, 8)))
        names = np.array(["one.", "three."])[labels % 2]
        np.savez(f"captions{end}.npz", picture=digits, name=names)
        rows = "\n".join(f"{n}.,{'one' if n % 2 else 'twelve'}." for n in range(40))
        _text(f"numbers{end}.csv", f"figures,words\n{rows}\n")
    for name in ("houses", "houses_clean"):
        rows = "\n".join(",".join(map(str, rng.random(5))) for _ in range(40))
        _text(f"{name}.csv", f"area,rooms,age,distance,price\n{rows}\n")
    rows = "\n".join(f"{a},{b},{k % 3}" for k, (a, b) in enumerate(rng.random((60, 2))))
    _text("spirals.csv", f"x,y,arm\n{rows}\n")
    _text("hello.csv", "letter,following\nhell,ello\n")
    reviews = "\n".join(f"{'good' if k % 2 else 'dull bad'} film,{k % 2}" for k in range(60))
    _text("reviews.csv", f"words,label\n{reviews}\n")
    _text("tinyshakespeare.txt", "".join(rng.choice(list("abc de\n"), 60_000)))
    times = "\n".join(f"{k / 100},{np.cos(k / 50)}" for k in range(200))
    _text("times.csv", f"t,x\n{times}\n")
    links = (rng.random((40, 40, 40)) < 0.1).astype("float32")
    about = rng.random((40, 40, 8)).astype("float32")
    np.savez("graphs.npz", links=links, about=about, group=rng.integers(0, 4, (40, 40)))
    place = rng.random((200, 2)).astype("float32")
    np.savez(
        "steps.npz",
        place=place,
        action=rng.integers(0, 3, 200),
        next_=place[::-1],
        done=rng.random(200) < 0.1,
    )


def _text(name: str, content: str) -> None:
    with open(name, "w", encoding="utf-8") as file:
        file.write(content)


def pytorch(path: str, steps: int) -> None:
    """Run a program until its optimizers have made some steps."""
    import torch
    from torch.optim.optimizer import register_optimizer_step_post_hook
    from torch.utils.data import TensorDataset

    done = []

    def count(optimizer, args, kwargs) -> None:
        done.append(optimizer)
        if len(done) == steps:
            for each in done:
                for group in each.param_groups:
                    assert all(p.isfinite().all() for p in group["params"])
            print(f"{steps} steps")
            sys.stdout.flush()
            os._exit(0)

    register_optimizer_step_post_hook(count)

    def mnist(root, train, download, transform):
        return TensorDataset(torch.rand(200, 1, 28, 28), torch.randint(10, (200,)))

    stub = types.ModuleType("torchvision")
    stub.datasets = types.SimpleNamespace(MNIST=mnist)
    stub.transforms = types.SimpleNamespace(
        ToTensor=lambda: None,
        RandomAffine=lambda *args, **settings: lambda x: x.roll(1, -1),
        Lambda=lambda function: function,
        Compose=lambda parts: lambda x: parts[1](parts[0](x)),
    )
    sys.modules["torchvision"] = stub  # what it would read from the net is made here
    runpy.run_path(path, run_name="__main__")


def keras(path: str, steps: int) -> None:
    """Run a program whose `fit` makes some steps only."""
    with open(path, encoding="utf-8") as file:
        is_stateful = "stateful=True" in file.read()
    # a stateful layer changes in place what the gradients of PyTorch need
    os.environ["KERAS_BACKEND"] = "jax" if is_stateful else "torch"
    import keras

    whole = keras.Model.fit

    def fit(self, *args, epochs, **settings):
        if "validation_data" in settings:
            settings["validation_steps"] = 1
        history = whole(self, *args, epochs=1, steps_per_epoch=steps, **settings)
        values = [keras.ops.convert_to_numpy(each.value) for each in self.weights]
        assert values and all(np.isfinite(each).all() for each in values)
        print(f"{steps} steps")
        return history

    keras.Model.fit = fit
    images = rng.integers(0, 255, (200, 28, 28)), rng.integers(0, 10, 200)
    keras.datasets.mnist.load_data = lambda: (images, images)
    runpy.run_path(path, run_name="__main__")


if __name__ == "__main__":
    library, path, steps, folder = sys.argv[1:]
    os.chdir(folder)
    write_data()
    {"pytorch": pytorch, "keras": keras}[library](path, int(steps))
