"""The functions of `column` formulas: inputs, results, and statistics of the training part.

    WORDS["fill"].settings         # (Setting("by", "number", ..., ("mean", "median", "most")),)

Kinds of values: "numbers", "words", "dates", "truth", "classes" and "symbols"; "any" takes them
all. The kind of a raw column is known only from the data.
"""

from __future__ import annotations

from specc.recipe.settings import REQUIRED, Setting
from specc.system.records import dataclass

OPERATORS = ("+", "-", "*", "/", "//", "%", "^", "==", "!=", "<", "<=", ">", ">=")
LOGIC = ("and", "or", "not")
NUMERIC = ("numbers", "truth", "classes")


@dataclass(frozen=True)
class ColumnWord:
    """A function of a column's formula.

    `inputs` are the names of its inputs, of which there may be any number of the last one if
    `more`. `takes` are the kinds of its inputs, and `gives` is the kind of its result
    ("same": that of its input). If `learns`, it has statistics of the training part. If `converts`,
    the result is the value of the column in another form. `doc` is its page.
    """

    name: str
    inputs: tuple[str, ...]
    takes: tuple[str, ...]
    gives: str
    doc: str
    settings: tuple[Setting, ...] = ()
    learns: bool = False
    converts: bool = False
    more: bool = False
    example: str = ""

    def __str__(self) -> str:
        """Return the signature: `fill(x; by: number or mean or median or most)`."""
        inputs = ", ".join(self.inputs) + (", .." if self.more else "")
        settings = "; " + ", ".join(map(str, self.settings)) if self.settings else ""
        return f"{self.name}({inputs}{settings})"


_FUNCTIONS = {
    "log": "natural logarithm; a value that is not positive is an error",
    "exp": "exponential function",
    "sqrt": "square root; a negative value is an error",
    "abs": "absolute value",
    "sin": "sine of radians, as in `sin(2 * pi * hour(x) / 24)`",
    "cos": "cosine of radians",
    "floor": "largest integer that is at most the value",
    "round": "nearest integer",
}
_DATES = {
    "days": ("numbers", "days since 1970-01-01, with the time of day as a fraction"),
    "year": ("numbers", "year, such as 2024"),
    "month": ("classes", "month as a class of 12, 0 for January"),
    "weekday": ("classes", "day of the week as a class of 7, 0 for Monday"),
    "hour": ("classes", "hour of the day as a class of 24"),
}
_FORMAT = Setting("format", "text", None)

WORDS: dict[str, ColumnWord] = {
    each.name: each
    for each in (
        ColumnWord(
            "standardize", ("x",), NUMERIC, "numbers",
            "(x - mean) / deviation, with the mean and the standard deviation of the training part."
            " Each element of a vector is standardized separately. A constant column becomes 0.",
            learns=True, example="standardize(age)",
        ),
        ColumnWord(
            "scale", ("x",), NUMERIC, "numbers",
            "Maps the minimum and the maximum of the training part to `low` and `high`."
            " Each element of a vector is scaled separately. A constant column becomes `low`.",
            (Setting("low", "number", 0.0), Setting("high", "number", 1.0)),
            learns=True, example="scale(age; 0, 1)",
        ),
        ColumnWord(
            "fill", ("x",), ("numbers", "truth", "words", "dates"), "same",
            "Replaces missing values: by the mean, the median or the most frequent value"
            " (`most`) of the training part, or by a number. For words, by `most` or a string.",
            (Setting("by", "value", "mean", ("mean", "median", "most")),),
            learns=True, converts=True, example="fill(age; median)",
        ),
        ColumnWord(
            "missing", ("x",), ("any",), "truth",
            "1 where a value is missing, 0 elsewhere: a gap may itself be informative.",
            example="missing(age)",
        ),
        ColumnWord(
            "class", ("x",), ("words", "numbers", "truth"), "classes",
            "The number of each word among the sorted words of the training part. Words that occur"
            " fewer than `least` times there, and with `unknown` also new and missing ones, become"
            " a separate class, the first one.",
            (Setting("unknown", "truth", False), Setting("least", "size", 1)),
            learns=True, converts=True, example="class(city; unknown = true, least = 5)",
        ),
        ColumnWord(
            "onehot", ("x",), ("words", "truth", "classes", "numbers"), "numbers",
            "A vector with 1 at the position of the word, and 0 elsewhere. Words are those of the"
            " training part; a new or missing word is a vector of zeros. Rarer words than `least`"
            " have no position.",
            (Setting("least", "size", 1),), learns=True, example="onehot(city)",
        ),
        ColumnWord(
            "bucket", ("x",), NUMERIC, "classes",
            "The number of the bucket of a value, from 0: `count` buckets with equal numbers of"
            " examples of the training part.",
            (Setting("count", "count", REQUIRED),), learns=True, example="bucket(income; 10)",
        ),
        ColumnWord(
            "hash", ("x",), ("words", "numbers", "truth"), "classes",
            "A class below `count`, a hash of the text (CRC-32 of its UTF-8 bytes),"
            " for an unlimited number of words: different words may share a class.",
            (Setting("count", "count", REQUIRED),), example="hash(url; 1000)",
        ),
        ColumnWord(
            "number", ("x",), ("words", "numbers"), "numbers",
            "The number in a text, with any `decimal` sign and any sign between"
            ' `thousands`: `number(price; decimal = ",")` reads 11,6, and with `thousands = "."`'
            " also 1.234,50. A currency or percent sign before or after it is ignored. The text"
            ' `empty`, such as "unknown", stands for a missing number.',
            (
                Setting("decimal", "text", "."),
                Setting("thousands", "text", None),
                Setting("empty", "text", None),
            ),
            converts=True, example='number(price; decimal = ",")',
        ),
        ColumnWord(
            "truth", ("x",), ("words", "numbers", "truth"), "truth",
            "1 for yes, true, y, t, on or 1, and 0 for no, false, n, f, off or 0, in upper or lower"
            " case.",
            converts=True, example="truth(smoker)",
        ),
        ColumnWord(
            "symbols", ("x",), ("words", "numbers"), "symbols",
            "A text as a sequence of classes, one per character or word.",
            (Setting("level", "choice", "char", ("char", "word")),
             Setting("limit", "count", None), Setting("unknown", "text", None)),
            learns=True, example="symbols(review; level = word, limit = 10000)",
        ),
        ColumnWord(
            "clip", ("x",), NUMERIC, "numbers", "Limits a value to the range `low` to `high`.",
            (Setting("low", "number", REQUIRED), Setting("high", "number", REQUIRED)),
            example="clip(age; 0, 100)",
        ),
        ColumnWord(
            "columns", (), (), "numbers",
            "A vector of all columns with names that match one of the patterns, in the order of the"
            " table. `*` matches any text. A single name is that column itself.",
            more=True, example='columns("pixel*")',
        ),
        ColumnWord(
            "rest", (), (), "numbers",
            "A vector of all columns that no input, target, formula or split uses, in the order of"
            " the table. Columns of words become one-hot vectors, dates become days; gaps are"
            " filled by the mean, and the numbers are standardized.",
            learns=True, example="rest()",
        ),
        ColumnWord(
            "numbers", (), (), "numbers",
            "A vector of all columns of numbers that no input, target, formula or split uses, in"
            " the order of the table.",
            example="numbers()",
        ),
        ColumnWord(
            "concat", ("a", "b"), (*NUMERIC,), "numbers",
            "The values and vectors concatenated to one vector.", more=True,
            example="concat(standardize(age), onehot(city))",
        ),
        *(
            ColumnWord(name, ("x",), NUMERIC, "numbers", f"The {doc}.", example=f"{name}(x)")
            for name, doc in _FUNCTIONS.items()
        ),
        *(
            ColumnWord(
                name, ("x",), ("dates", "words"), gives,
                f"The {doc}. Texts are dates as in 2024-01-31 or 2024-01-31 13:05, or of a `format`"
                ' such as "%d.%m.%Y".',
                (_FORMAT,), example=f"{name}(sold)",
            )
            for name, (gives, doc) in _DATES.items()
        ),
    )
}  # fmt: skip

SYNONYMS = {
    "standardise": "standardize", "normalize": "standardize", "normalise": "standardize",
    "zscore": "standardize", "z_score": "standardize", "standard_scaler": "standardize",
    "minmax": "scale", "min_max": "scale", "rescale": "scale", "impute": "fill", "fillna": "fill",
    "is_missing": "missing", "isna": "missing", "isnull": "missing", "is_null": "missing",
    "category": "class", "categorical": "class", "factorize": "class", "label": "class",
    "encode": "class", "one_hot": "onehot", "dummies": "onehot", "get_dummies": "onehot",
    "bin": "bucket", "bins": "bucket", "cut": "bucket", "qcut": "bucket", "discretize": "bucket",
    "quantile": "bucket", "hashing": "hash", "bool": "truth", "boolean": "truth", "date": "days",
    "timestamp": "days", "day": "days", "dayofweek": "weekday", "day_of_week": "weekday",
    "float": "number", "to_number": "number", "to_numeric": "number", "parse": "number",
    "tokens": "symbols", "tokenize": "symbols", "text": "symbols", "ln": "log", "clamp": "clip",
    "stack": "concat", "concatenate": "concat", "column": "columns", "others": "rest",
    "numeric": "numbers", "log1p": "log",
}  # fmt: skip
"""Names of column functions in other tools."""
