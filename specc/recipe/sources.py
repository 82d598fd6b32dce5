"""The data sources of a `train` block: their files and settings.

SOURCES["idx"].files        # ("the file of the images", "the file of the labels")
"""

from __future__ import annotations

from collections.abc import Iterable

from specc.recipe.recipe import Port
from specc.recipe.settings import Setting
from specc.system.records import dataclass

TEXT = (
    Setting(
        "level", "choice", "char", ("char", "word"), "Whether a symbol is a character or a word."
    ),
    Setting("limit", "count", None, (), "The number of the most frequent symbols to keep."),
    Setting("unknown", "text", None, (), "The symbol that replaces unknown ones."),
)
_SCALE = "A factor for the numbers of `float` inputs; targets are not scaled."
SCALE = Setting("scale", "number", 1.0, (), _SCALE)
BYTES = Setting("scale", "number", 1 / 255, (), _SCALE)
SHIFT = Setting(
    "shift", "number", 0.0, (), "A number that is added to `float` inputs after scaling."
)
SEPARATOR = Setting(
    "separator", "character", None, (), "The character between fields; by default it is detected."
)
MISSING = Setting(
    "missing",
    "number",
    "refuse",
    ("drop", "refuse"),
    "A number that replaces missing values; `drop` skips such rows, and `refuse` makes them an"
    " error.",
)
COLUMNS = Setting(
    "columns", "text", None, (), "The columns of the one vector input, separated by commas."
)
TABLE = (SCALE, SHIFT, MISSING, COLUMNS, *TEXT)
DELIMITED = (SCALE, SHIFT, SEPARATOR, MISSING, COLUMNS, *TEXT)
_BY_NAME = (
    " A column is bound to the input or target of its name; `label = \"Species\"` names another"
    " column for it."
)  # fmt: skip
_SEVERAL = (
    ' Several files with the same columns are read one after the other; `"part-*.csv"` names all'
    " matching files."
)
_FILE = ("the name of a file",)
PART = Setting("part", "choice", "train", ("train", "test"), "The part of the data set to read.")

# Names of the settings of sources in other tools.
SETTING_SYNONYMS = {
    "sep": "separator", "delimiter": "separator", "delim": "separator", "na": "missing",
    "na_values": "missing", "nan": "missing", "rescale": "scale", "normalize": "scale",
    "divide": "scale", "offset": "shift", "usecols": "columns", "features": "columns",
    "inputs": "columns", "mode": "level", "tokens": "level", "tokenizer": "level",
    "num_words": "limit", "max_words": "limit", "vocab_size": "limit", "max_tokens": "limit",
    "unk": "unknown", "oov": "unknown", "oov_token": "unknown",
}  # fmt: skip


@dataclass(frozen=True)
class DataSource:
    """The arguments and settings of a data source.

    The last `optional` of the files are optional. With `names_ports` there is also a setting for
    each input and target, the name of its column. A source without names has `fields`, which are
    bound by kind: all of them, or one per file. `shape`, `classes` and `examples` are the shape of
    its images, the number of its classes and that of its examples, if they are fixed. The first
    argument may be a folder if it `takes_folders`.
    """

    files: tuple[str, ...] = ()
    optional: int = 0
    more_files: bool = False  # whether the last file may occur any number of times
    settings: tuple[Setting, ...] = (SCALE, SHIFT)
    names_ports: bool = False
    takes_folders: bool = False
    fields: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None
    classes: int | None = None
    examples: int | None = None
    doc: str = ""  # the page of the source in `specc explain`

    def all_settings(self, ports: Iterable[Port]) -> dict[str, Setting]:
        """Return the settings by name, with those named like a port."""
        named = [Setting(each.name, "text", None) for each in ports] if self.names_ports else []
        return {each.name: each for each in (*named, *self.settings)}


SOURCES: dict[str, DataSource] = {
    "digits": DataSource(
        settings=(Setting("scale", "number", 1 / 16, (), _SCALE), SHIFT),
        fields=("image", "label"),
        shape=(8, 8),
        classes=10,
        examples=1797,
        doc="The 1,797 handwritten digits of 8x8 pixels that come with specc, scaled to 0 to 1"
        " (Alpaydin and Kaynak, 1998). Images are bound to the `float` port and labels to the"
        " `class` port.",
    ),
    "idx": DataSource(
        ("the file of the images", "the file of the labels"),
        optional=1,
        fields=("image", "label"),
        doc="Files in the IDX format of MNIST, plain or compressed. Images are bound to the `float`"
        " port and labels to the `class` port; `scale = 1/255` scales bytes to the range 0 to 1.",
    ),
    "csv": DataSource(
        _FILE,
        settings=DELIMITED,
        names_ports=True,
        more_files=True,
        doc="A table as text, whose first line has the names of the columns, plain or compressed"
        " (gzip, zip)." + _BY_NAME + " For a variable-length sequence `x: float[<= time]` the last"
        " of the columns `x_1`, `x_2`, .. may be empty." + _SEVERAL,
    ),
    "tsv": DataSource(
        _FILE,
        settings=DELIMITED,
        names_ports=True,
        more_files=True,
        doc="A table as text with tabs between the fields; the rest is as in `csv`.",
    ),
    "jsonl": DataSource(
        _FILE,
        settings=TABLE,
        names_ports=True,
        more_files=True,
        doc="A JSON object on each line, whose members are the columns. Lists of numbers of the"
        " same length are vectors; lists of different lengths, of numbers or of vectors of the same"
        " length, are variable-length sequences `[<= time]`." + _BY_NAME,
    ),
    "parquet": DataSource(
        _FILE,
        settings=TABLE,
        names_ports=True,
        more_files=True,
        doc="A table in the Parquet format, read by pyarrow (extra `tables`)."
        + _BY_NAME
        + _SEVERAL.replace("csv", "parquet"),
    ),
    "feather": DataSource(
        _FILE,
        settings=TABLE,
        names_ports=True,
        more_files=True,
        doc="A table in the Feather (Arrow IPC) format, read by pyarrow (extra `tables`)."
        + _BY_NAME,
    ),
    "npz": DataSource(
        _FILE,
        settings=(SCALE, SHIFT, *TEXT),
        names_ports=True,
        doc="Arrays that `numpy.savez` wrote, with the examples along the first axis. An array is"
        ' bound to the input or target of its name; `image = "x_train"` names another array. In a'
        " sequence `[<= time]` of numbers, steps that are NaN are past the end of an example.",
    ),
    "npy": DataSource(
        _FILE,
        settings=(SCALE, SHIFT, *TEXT),
        names_ports=True,
        more_files=True,
        doc="Arrays that `numpy.save` wrote, one in each file, which are bound by the names of the"
        " files. They are mapped into memory, so they may be larger than it.",
    ),
    "images": DataSource(
        ("a folder with one folder of images per class, or a table with their paths",),
        settings=(
            BYTES,
            SHIFT,
            Setting("size", "size", None, (), "The height and width to which images are scaled."),
            Setting("path", "text", "path", (), "The column of a table with the images' paths."),
            MISSING,
        ),
        names_ports=True,
        takes_folders=True,
        doc="Images (PNG, JPEG, GIF, BMP, TIFF, WebP) of any size, read by Pillow (extra"
        " `images`): a folder with one folder per class, or a table with a column of paths. The"
        " shorter side is scaled, and the image is cropped to its center. The decoded images are"
        " cached in the user's cache folder.",
    ),
    "mnist": DataSource(
        settings=(BYTES, SHIFT, PART),
        fields=("image", "label"),
        shape=(28, 28),
        classes=10,
        doc="The 60,000 handwritten digits of MNIST (LeCun, Cortes and Burges, 1998), or its 10,000"
        " test digits, which `specc data fetch mnist` downloads to the user's data folder.",
    ),
    "fashion_mnist": DataSource(
        settings=(BYTES, SHIFT, PART),
        fields=("image", "label"),
        shape=(28, 28),
        classes=10,
        doc="The 60,000 images of clothes of Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017), or"
        " its 10,000 test images, which `specc data fetch fashion-mnist` downloads to the user's"
        " data folder.",
    ),
    "cifar10": DataSource(
        ("the file of the images and labels",),
        optional=1,
        settings=(BYTES, SHIFT, PART),
        fields=("image", "label"),
        shape=(3, 32, 32),
        classes=10,
        more_files=True,
        doc="The binary form of the CIFAR-10 images (Krizhevsky, 2009): the files of its batches,"
        " or the archive with them. The default is the data set that `specc data fetch cifar10`"
        " downloads to the user's data folder.",
    ),
    "text": DataSource(
        _FILE,
        settings=TEXT,
        more_files=True,
        doc="One or more texts as a sequence of symbols. The target is the same sequence, one"
        " symbol later. The number of symbols in the training text sets a symbolic `dim`.",
    ),
}
FRAME = "frame"
"""The source of a table from Python; a model file cannot use it."""
_FRAME = DataSource(("a table",), settings=TABLE, names_ports=True)


def source_of(word: str) -> DataSource:
    """Return the source with this name."""
    return _FRAME if word == FRAME else SOURCES[word]
