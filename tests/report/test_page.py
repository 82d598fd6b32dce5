"""The report of a run: one file, whole, readable without a network."""

import re
from html.parser import HTMLParser

import pytest

from specc.report.highlight import highlighted
from specc.source import Source

MODEL = """# sizes <of> the net
model lines {
  input  x: float[2]
  target y: float
  target side: bool
  let h = x -> dense(4) -> tanh
  let guess = flatten(h -> dense(1))[0]
  let sign = flatten(h -> dense(1))[0]
  output guess
  output sign
  loss a = mse(guess, y)
  loss b = binary_cross_entropy(sign, side)
}
train { data csv("lines.csv"; x = "u, v") validate split = 0.5 optimizer sgd(lr = 0.1) epochs = 3 }
"""
VOID = {"meta", "link", "input", "br", "img"}


class Reader(HTMLParser):
    """Checks that tags are closed in order, and collects what the tests ask for."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.addresses, self.headings = [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        self.addresses += [attrs[key] for key in ("href", "src") if key in attrs]
        if tag == "svg":
            assert attrs.get("role") == "img" or "aria-label" in attrs or "class" not in attrs

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture
def run(tmp_path, monkeypatch, specc):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.dl").write_text(MODEL)
    rows = [f"{k % 7},{k % 5},{k % 3},{k % 2 == 0}".lower() for k in range(40)]
    (tmp_path / "lines.csv").write_text("u,v,y,side\n" + "\n".join(rows) + "\n")
    status, _, err = specc("train", "lines.dl")
    assert status == 0, err
    return tmp_path


def test_a_report_is_one_whole_page(run, specc):
    status, out, err = specc("report", "@last")
    assert (status, out) == (0, "wrote runs/lines/1/report.html\n"), err
    text = (run / "runs/lines/1/report.html").read_text()
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert not reader.open and len(set(reader.ids)) == len(reader.ids)
    assert reader.headings == [
        "Model", "Curves", "Confusion matrix", "Precision and recall by class",
        "Receiver operating characteristic", "Calibration",
        *(["Most confident mistakes"] if "Most confident mistakes" in reader.headings else []),
        "Predicted and true values", "Decision boundary", "Embedding", "Flow of gradients",
        "Activations", "Weights", "Time and memory by layer",
    ]  # fmt: skip
    for address in reader.addresses:
        assert address.startswith(("#", "data:")), address
        assert not address.startswith("#") or address[1:] in reader.ids
    outside = [each for each in re.findall(r"https?://[\w./]+", text)
               if not each.startswith("http://www.w3.org/")]  # fmt: skip
    assert not outside and "@import" not in text and "url(http" not in text
    assert len(text) < 300_000


def test_the_drawing_follows_the_switch_of_the_page(run, specc):
    """A drawing by itself follows the reader's theme alone; one in a page, what was chosen."""
    specc("report", "lines/1", "-o", "here.html")
    page = (run / "here.html").read_text()
    specc("show", "lines.dl", "--graph", "here.svg")
    alone = (run / "here.svg").read_text()
    assert '.drawing:is([data-theme="dark"] *) rect.page{' in page and "data-theme" not in alone
    dark = page[page.index("@media (prefers-color-scheme:dark)") :]
    assert dark.startswith(
        '@media (prefers-color-scheme:dark){.drawing:not([data-theme="light"] *) '
    )
    links = re.findall(r'<a href="#(\w+)">(\w+)</a>', page)
    assert ("roc", "ROC") in links and ("boundary", "Boundary") in links


def test_the_model_is_shown_as_it_was_written(run, specc):
    specc("report", "lines/1", "-o", "here.html")
    text = (run / "here.html").read_text()
    assert '<span class="comment"># sizes &lt;of&gt; the net</span>' in text
    assert '<span class="keyword">model</span> lines' in text
    plain = re.sub(r"<[^>]+>", "", text[text.index("<pre") : text.index("</pre>")])
    for name, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#x27;", "'")):
        plain = plain.replace(name, sign)
    assert plain == MODEL


def test_a_training_ends_with_a_report_if_that_is_quick(run, specc, monkeypatch):
    from specc.cli import train

    monkeypatch.setattr(train, "REPORT_SECONDS", 60.0)
    status, out, err = specc("train", "lines.dl")
    assert status == 0 and "report: runs/lines/2/report.html" in out.splitlines(), err
    own = (run / "runs/lines/2/report.html").read_text()
    specc("report", "lines/2", "-o", "asked.html")
    asked = (run / "asked.html").read_text()

    def figures(text):
        """The page without its time, the numbers of its parts, and what is measured anew."""
        text = re.sub(r'<section id="cost".*?</section>', "", text, flags=re.DOTALL)
        text = re.sub(r"on \d{4}-\d\d-\d\d, \d\d:\d\d", "", text)
        return re.sub(r'id="\w+"|aria-\w+="[^"]*"|url\(#\w+\)', "", text)

    one, two = figures(own).splitlines(), figures(asked).splitlines()
    assert [(a, b) for a, b in zip(one, two, strict=True) if a != b] == []
    monkeypatch.setattr(train, "REPORT_SECONDS", 1e-9)
    status, out, err = specc("train", "lines.dl")
    assert "report: to write it, use `specc report lines/3`" in out.splitlines()
    assert not (run / "runs/lines/3/report.html").exists()
    status, out, err = specc("train", "lines.dl", "--quiet")
    assert "report" not in out


def test_a_report_that_takes_too_long_is_given_up(run):
    from specc.plots.subject import of_run
    from specc.report.page import NoTime, page
    from specc.runs.listener import AsWarnings

    subject = of_run(run / "runs/lines/1", AsWarnings())
    with pytest.raises(NoTime):
        page(subject, until=0.0)


def test_a_report_that_cannot_be_written_changes_nothing(run, specc):
    status, _, err = specc("report", "lines/1", "-o", "nowhere/here.html")
    assert status == 2 and "there is no folder `nowhere`" in err
    status, _, err = specc("report", "lines/2")
    assert status == 2 and "there is no run `lines/2`" in err


def test_colours_keep_every_letter():
    for text in ("dim n = 3  # a\n", "", "let s = \"<b>\" & 'x'", "model é {\n\n}"):
        shown = highlighted(Source("a.dl", text))
        plain = re.sub(r"<[^>]+>", "", shown)
        for name, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#x27;", "'"),
                           ("&amp;", "&")):  # fmt: skip
            plain = plain.replace(name, sign)
        assert plain == text


def test_figures_by_themselves(run, specc):
    status, out, _ = specc("plot", "lines/1", "fit", "-o", "fit.svg")
    assert status == 0 and out.endswith("wrote fit.svg\n") and "root mean square" in out
    assert (run / "fit.svg").read_text().startswith("<svg")
    status, out, _ = specc("plot", "lines/1", "curves")
    assert status == 0 and (run / "curves.svg").is_file()
    status, out, _ = specc("plot", "lines/1")
    assert status == 0 and "filters" in out and "(not here: no input is an image" in out
    status, out, _ = specc("plot", "lines.dl", "weights", "-o", "first.svg")
    assert status == 0, "a file is drawn with its first weights"


@pytest.mark.parametrize(("arguments", "message"), [
    (["curvs"], "unknown plot `curvs`; did you mean `curves`?"),
    (["filters"], "cannot plot `filters` for `runs/lines/1`: no input is an image"),
    (["fit", "-o", "fit.jpg"], "use a name in .svg, .png or .pdf"),
    (["fit", "-o", "nowhere/fit.svg"], "there is no folder `nowhere`"),
    (["fit", "--layer", "dense1"], "`fit` has no option --layer"),
    (["fit", "--layer", "dens1"], "no layer `dens1`; did you mean `dense1`?"),
])  # fmt: skip
def test_wrong_usage_of_plot(run, specc, arguments, message):
    status, out, err = specc("plot", "lines/1", *arguments)
    assert (status, out) == (2, "") and message in err


def test_plot_lists_what_there_is(specc):
    status, out, _ = specc("plot")
    assert status == 0 and "confusion" in out and "not here" not in out


def test_curves_in_the_terminal(run, specc):
    status, out, _ = specc("curves", "@last", "--height", "5")
    assert status == 0 and all(len(line) <= 80 for line in out.splitlines())
    assert "● training" in out and "○ validation" in out
    assert out.splitlines()[-1].startswith("3 epochs of lines/1.")
