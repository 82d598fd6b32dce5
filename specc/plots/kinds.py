"""All kinds of plots by name, and what each needs.

    kind = find("confusion")
    kind.why_not(subject)            # "" or "no output scores the classes of a target"
    kind.draw(subject)               # Figure

To add a kind, write one function and one entry here; `specc plot`, reports and `net.plot` use it.
"""

from __future__ import annotations

from collections.abc import Callable

from specc.plots import (
    answers,
    attention,
    classes,
    cost,
    curves,
    layers,
    space,
    sweep,
    through_time,
    trajectory,
)
from specc.plots.marks import Figure
from specc.plots.subject import Subject
from specc.system.records import dataclass

Needs = Callable[[Subject], str]
"""Returns what a subject lacks for a plot; an empty string if it lacks nothing."""


@dataclass(frozen=True)
class FigureKind:
    """A kind of plot: its name, its summary, the function that draws it, and what it needs."""

    name: str
    summary: str
    draw: Callable[..., Figure]
    needs: tuple[Needs, ...] = ()
    is_slow: bool = False
    """Whether the plot may take seconds for a large model."""
    options: tuple[str, ...] = ()
    """The optional arguments of `draw`: "layer", "example" (counted from 0) or "method"."""

    def why_not(self, subject: Subject) -> str:
        """Return what the subject lacks for this plot; an empty string if it can be drawn."""
        return next((why for need in self.needs if (why := need(subject))), "")


def _history(subject: Subject) -> str:
    return "" if subject.curves else "there is no run with a finished epoch"


def _examples(subject: Subject) -> str:
    return "" if subject.count else "there are no examples: `train` has no `data`"


def _classes(subject: Subject) -> str:
    found = classes.classifiers(subject)
    return "" if found else "no output scores the classes of a target"


def _any_mistakes(subject: Subject) -> str:
    found = any(not all(answers.answers(subject, h).is_right) for h in classes.classifiers(subject))
    return "" if found else f"all {subject.part} examples are predicted right"


def _pictures(subject: Subject) -> str:
    return "" if subject.pictures else "no input is an image, [h, w], [1, h, w] or [3, h, w]"


def _whole_classes(subject: Subject) -> str:
    heads = classes.classifiers(subject)
    found = any(head.kind == "classes" and not head.is_sequence for head in heads)
    return "" if found else "no output scores the classes of a target, once per example"


def _numbers(subject: Subject) -> str:
    found = any(head.kind == "number" for head in subject.heads)
    return "" if found else "no output is compared with a target of numbers"


def _maps(subject: Subject) -> str:
    return "" if layers.visible(subject) else "no layer has feature maps, [channels, h, w]"


def _found(search: Callable[[Subject], object]) -> Needs:
    """Return a check that calls `search` and returns the message of its LookupError."""

    def needs(subject: Subject) -> str:
        try:
            search(subject)
        except LookupError as error:
            return str(error.args[0])
        return ""

    return needs


def _steps(subject: Subject) -> str:
    return "" if through_time.step_layers(subject) else "no layer has a vector at each time step"


def _attention(subject: Subject) -> str:
    return _found(lambda of: attention.weights(of.program))(subject)


def _texts(subject: Subject) -> str:
    return "" if subject.samples else "the run has no samples: set `sample = 300` in `train`"


def _losses(subject: Subject) -> str:
    return "" if subject.program.losses else "the model has no loss"


def _layers(subject: Subject) -> str:
    return "" if subject.program.layers else "the model has no layers"


def _one_head(subject: Subject) -> str:
    found = any(not head.is_sequence for head in subject.heads)
    return "" if found else "no output predicts a target, once per example"


KINDS = (
    FigureKind("curves", "loss and metrics, epoch by epoch", curves.curves, (_history,)),
    FigureKind("sweep", "trials of a sweep, by number and by each search", sweep.sweep,
               (_found(sweep.trials),)),
    FigureKind("confusion", "confusion matrix of each target", classes.confusion,
               (_examples, _classes)),
    FigureKind("classes", "precision and recall of each class", classes.by_class,
               (_examples, _classes)),
    FigureKind("roc", "ROC curve: true against false positives", classes.receiver,
               (_examples, _classes)),
    FigureKind("calibration", "accuracy against confidence",
               classes.reliability, (_examples, _classes)),
    FigureKind("mistakes", "mistakes with the highest confidence", classes.mistakes,
               (_examples, _classes, _any_mistakes)),
    FigureKind("fit", "predicted against true values", space.fit, (_examples, _numbers)),
    FigureKind("boundary", "decision boundary in a plane", space.boundary,
               (_examples, _found(space.plane_input), _one_head)),
    FigureKind("embedding", "output of the last hidden layer in a plane", space.embedding,
               (_examples, _found(space.hidden_layer)), options=("method",)),
    FigureKind("words", "embedding vectors of words or letters", space.words,
               (_found(space.word_table),), options=("method",)),
    FigureKind("outputs", "input images and output images", layers.outputs,
               (_examples, _pictures, _found(layers.picture_outputs))),
    FigureKind("filters", "weights of the first layer that reads images", layers.filters,
               (_pictures, _found(layers.first_filters))),
    FigureKind("maps", "feature maps of one image in each layer", layers.maps,
               (_examples, _pictures, _maps), options=("example",)),
    FigureKind("features", "inputs that activate the units of a layer most", layers.features,
               (_examples, _pictures, _found(layers.unit_layer)), is_slow=True, options=("layer",)),
    FigureKind("saliency", "pixels that a prediction depends on", layers.saliency,
               (_examples, _pictures, _whole_classes), is_slow=True),
    FigureKind("samples", "texts generated during training", through_time.samples,
               (_texts,)),
    FigureKind("states", "states of recurrent layers along a sequence", through_time.states,
               (_examples, _steps), is_slow=True, options=("example",)),
    FigureKind("attention", "attention weights of each head", attention.attention,
         (_examples, _attention), is_slow=True, options=("example",)),
    FigureKind("flow", "gradients from layer to layer and over time", through_time.flow,
               (_examples, _losses, _layers), is_slow=True),
    FigureKind("activations", "distribution of each layer's output", layers.activations,
         (_examples, _found(layers.active)), is_slow=True),
    FigureKind("weights", "distribution of the parameters", layers.weights),
    FigureKind("trajectory", "path of the weights, and the loss around it",
         trajectory.trajectory, (_found(trajectory.snapshots),), is_slow=True),
    FigureKind("cost", "time and memory of a training step by layer", cost.cost,
               (_examples, _layers)),
)  # fmt: skip
"""All kinds of plots, in the order of a report."""


def find(name: str) -> FigureKind:
    """Return the kind of plot with a name. Raises KeyError if there is none."""
    return {kind.name: kind for kind in KINDS}[name]
