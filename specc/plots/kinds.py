"""Every figure by its name, and what it needs.

    kind = find("confusion")
    kind.why_not(subject)            # "" or "no output scores the classes of a target"
    kind.draw(subject)               # Figure

A kind is one entry here and one function: `specc plot`, the report and `net.plot` have it then.
"""

from __future__ import annotations

from collections.abc import Callable

from specc.plots import answers, attention, classes, curves, layers, space, sweep, through_time
from specc.plots.marks import Figure
from specc.plots.subject import Subject
from specc.system.records import dataclass

Needs = Callable[[Subject], str]
"""Says what a subject lacks for a figure; an empty text if it lacks nothing."""


@dataclass(frozen=True)
class FigureKind:
    """A figure: its name, what it shows in a line, how it is drawn, and what it needs."""

    name: str
    summary: str
    draw: Callable[..., Figure]
    needs: tuple[Needs, ...] = ()
    is_slow: bool = False
    """Whether a large model may take seconds for it."""
    options: tuple[str, ...] = ()
    """The arguments of `draw`: "layer", "example" (from 0 there), "method"."""

    def why_not(self, subject: Subject) -> str:
        """What the subject lacks for this figure; an empty text if it can be drawn."""
        return next((why for need in self.needs if (why := need(subject))), "")


def _history(subject: Subject) -> str:
    return "" if subject.curves else "there is no run with a finished epoch"


def _examples(subject: Subject) -> str:
    return "" if subject.count else "there are no examples: `train` names no data"


def _classes(subject: Subject) -> str:
    found = classes.classifiers(subject)
    return "" if found else "no output scores the classes of a target"


def _any_mistakes(subject: Subject) -> str:
    found = any(not all(answers.answers(subject, h).is_right) for h in classes.classifiers(subject))
    return "" if found else f"all answers to the {subject.part} examples are right"


def _pictures(subject: Subject) -> str:
    return "" if subject.pictures else "no input is a picture, [h, w], [1, h, w] or [3, h, w]"


def _whole_classes(subject: Subject) -> str:
    heads = classes.classifiers(subject)
    found = any(head.kind == "classes" and not head.is_sequence for head in heads)
    return "" if found else "no output scores the classes of a target, one for each example"


def _numbers(subject: Subject) -> str:
    found = any(head.kind == "number" for head in subject.heads)
    return "" if found else "no output is compared with a target of numbers"


def _maps(subject: Subject) -> str:
    return "" if layers.visible(subject) else "no layer gives maps, [channels, h, w]"


def _found(search: Callable[[Subject], object]) -> Needs:
    """The need of what a function finds, which raises LookupError where there is none."""

    def needs(subject: Subject) -> str:
        try:
            search(subject)
        except LookupError as error:
            return str(error.args[0])
        return ""

    return needs


def _steps(subject: Subject) -> str:
    return "" if through_time.step_layers(subject) else "no layer gives a vector at each step"


def _attention(subject: Subject) -> str:
    return _found(lambda of: attention.weights(of.program))(subject)


def _texts(subject: Subject) -> str:
    return (
        "" if subject.samples else "the run has no texts: `sample = 300` in `train` asks for them"
    )


def _losses(subject: Subject) -> str:
    return "" if subject.program.losses else "the model has no loss"


def _one_head(subject: Subject) -> str:
    found = any(not head.is_sequence for head in subject.heads)
    return "" if found else "no output answers a target, one for each example"


KINDS = (
    FigureKind("curves", "loss and metrics, epoch by epoch", curves.curves, (_history,)),
    FigureKind("sweep", "trials of a sweep, by number and by each search", sweep.sweep,
               (_found(sweep.trials),)),
    FigureKind("confusion", "which classes are taken for which", classes.confusion,
               (_examples, _classes)),
    FigureKind("classes", "precision and recall of each class", classes.by_class,
               (_examples, _classes)),
    FigureKind("roc", "true against false positives, for all thresholds", classes.receiver,
               (_examples, _classes)),
    FigureKind("calibration", "how sure the model is, against how often it is right",
               classes.reliability, (_examples, _classes)),
    FigureKind("mistakes", "the mistakes that the model was surest of", classes.mistakes,
               (_examples, _classes, _any_mistakes)),
    FigureKind("fit", "predicted against true values", space.fit, (_examples, _numbers)),
    FigureKind("boundary", "what is answered at each point of a plane", space.boundary,
               (_examples, _found(space.plane_input), _one_head)),
    FigureKind("embedding", "examples as the last hidden layer sees them", space.embedding,
               (_examples, _found(space.hidden_layer)), options=("method",)),
    FigureKind("words", "the learned vectors of words or letters", space.words,
               (_found(space.word_table),), options=("method",)),
    FigureKind("outputs", "inputs, and the pictures that the model makes of them", layers.outputs,
               (_examples, _pictures, _found(layers.picture_outputs))),
    FigureKind("filters", "weights of the first layer that reads pictures", layers.filters,
               (_pictures, _found(layers.first_filters))),
    FigureKind("maps", "what each layer makes of one picture", layers.maps,
               (_examples, _pictures, _maps), options=("example",)),
    FigureKind("features", "what units of a layer look for", layers.features,
               (_examples, _pictures, _found(layers.unit_layer)), is_slow=True, options=("layer",)),
    FigureKind("saliency", "the pixels that an answer depends on", layers.saliency,
               (_examples, _pictures, _whole_classes), is_slow=True),
    FigureKind("samples", "texts that the model wrote while it was trained", through_time.samples,
               (_texts,)),
    FigureKind("states", "states of recurrent layers along a sequence", through_time.states,
               (_examples, _steps), is_slow=True, options=("example",)),
    FigureKind("attention", "where each step of a sequence looks", attention.attention,
         (_examples, _attention), is_slow=True, options=("example",)),
    FigureKind("flow", "gradients from layer to layer, and along time", through_time.flow,
               (_examples, _losses), is_slow=True),
    FigureKind("activations", "how the values of each layer are distributed", layers.activations,
         (_examples, _found(layers.active)), is_slow=True),
    FigureKind("weights", "how the parameters are distributed", layers.weights),
)  # fmt: skip
"""All figures, in the order of a report."""


def find(name: str) -> FigureKind:
    """The kind of a name; raises KeyError if there is none."""
    return {kind.name: kind for kind in KINDS}[name]
