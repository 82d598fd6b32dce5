"""A model with its weights in a folder of its own, as a run: `specc.open` reads it again.

save(net, Path("houses"))       # houses/model.dl, run.json, best.safetensors, last.safetensors
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specc.runtime import checkpoint, pins
from specc.runtime.checkpoint import Progress
from specc.runtime.errors import run_error
from specc.runtime.files import make_folders, reason, replace
from specc.runtime.run import Record, RunFolder

if TYPE_CHECKING:
    from specc.net.net import Net

STATUS = "saved"


def save(net: Net, folder: Path) -> Path:
    """Write a folder; one that exists must be empty or hold a saved model, which it replaces."""
    program = net.program
    if program.resized is None:
        raise ValueError(f"{net.name} was made without a text, so there is nothing to save it as")
    if folder.exists() and not _is_free(folder):
        raise run_error(
            f"`{folder}` exists and holds no saved model", folder, help="save to another folder"
        )
    texts = program.resized.texts()
    beside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    run = RunFolder(beside, record_of(net, texts))
    try:
        make_folders(beside)
        for name, text in texts.items():
            make_folders((beside / name).parent)
            replace(beside / name, text.encode())
        progress = Progress(records=np.zeros((0, net.record_width)))
        for path in (run.best, run.last):
            checkpoint.save(path, net, progress)
        run.write()
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
    except BaseException as error:
        shutil.rmtree(beside, ignore_errors=True)
        if not isinstance(error, OSError):
            raise
        raise run_error(f"cannot write `{folder}`: {reason(error)}", folder) from None
    return folder


def _is_free(folder: Path) -> bool:
    from specc.runtime.run import open_run

    if folder.is_dir() and not any(folder.iterdir()):
        return True
    return (folder / "run.json").is_file() and open_run(folder).record.status == STATUS


def record_of(net: Net, texts: dict[str, str]) -> Record:
    """Return the record of a model that no run has trained."""
    program = net.program
    assert program.resized is not None
    overrides = {name: str(value) for name, value in program.resized.overrides.items()}
    return Record(
        model=program.name,
        file=program.resized.source.name,
        data=".",
        overrides=overrides,
        seed=net.seed,
        batch=net.batch,
        accumulate=net.examples_per_step // net.batch,
        epochs=max(net.epochs_done, 1),
        dtype=net.dtype,
        threads=net.threads,
        specc="",
        vocabularies={name: list(words) for name, words in net.encoding.vocabularies.items()},
        ends=net.encoding.ends,
        statistics=net.encoding.statistics,
        status=STATUS,
        pins=pins.Pins(texts={name: pins.text(each) for name, each in texts.items()}),
    )
