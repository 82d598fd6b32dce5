"""Writes a first model for the user's folder of images, or for the user's text.

pictures(Path("photos"), "pets", "../photos")      # the text of pets.dl
writing(Path("poems.txt"), "poet", "poems.txt")    # the text of poet.dl
"""

from __future__ import annotations

from pathlib import Path

from specc.runtime.data.sources.images import ENDINGS

SAMPLED = 64
"""Number of images that are examined."""
SIZES = (16, 32, 64)
"""Candidates for the image size; the largest that is at most the median size is chosen."""
GREY = ("1", "L", "LA", "I", "I;16", "F")
"""Pillow's modes of images without colors."""
TIME = 50
"""Length of a window, in characters."""
MOST_TEXTS = 16
"""Largest number of windows in a batch."""
LONG = 200_000
"""Number of characters above which a text gets a larger network."""

PICTURES = """# {name}: classifies the images of `{folder}` ({count:,} of {sizes}).
#
{listed}
dim classes = {classes}
dim hidden  = 64      # `specc train FILE hidden=128` tries another width

model {name} {{
  input  image: float[{channels}, {size}, {size}]
  target label: class(classes)

  let features = image
{layers}    -> flatten
  let scores = features -> dense(hidden) -> relu -> dropout(0.3) -> dense(classes)

  output scores
  loss   cross_entropy(scores, label)
  metric accuracy(scores, label)
}}

train {{
  data      images("{path}"; size = {size})
  validate  split = 0.8      # 20% of the images measure how good the model is
  augment   image = image -> shift({shift})    # also: `flip`, `rotate`, `noise(0.1)`
  stratify  = label
  optimizer adam(lr = cosine(0.002, 0))
  epochs   = {epochs}
  batch    = 32
  patience = 10
}}
"""

WRITING = """# {name}: learns the text of {path}, and generates more of it:
#
#     specc sample @last --prompt "{prompt}"
#
{advice}dim vocab                    # counted from the text
dim hidden = {hidden}
seq time   = {time}              # characters in a training window

model {name} {{
  stream text: class(vocab)[time]
  target following: class(vocab)[time]

  let scores = text -> embed(32) -> lstm(hidden) -> dense(vocab)

  output scores
  loss   cross_entropy(scores, following)
  metric accuracy(scores, following)
}}

train {{
  data      text("{path}")
  validate  split = 0.9
  optimizer adam(lr = {rate})
  epochs    = {epochs}
  batch     = {batch}
  clip_norm = 1
  sample    = 200            # generates this many characters after each epoch
}}
"""


def pictures(folder: Path, name: str, path: str) -> str:
    """Return the text of a model for a folder of images, with one folder per class.

    `path` is the path of the folder in the model. Raises ValueError if there are fewer than two
    classes, or if Pillow is not installed.
    """
    counts = {
        each.name: sum(file.suffix.lower() in ENDINGS for file in each.rglob("*"))
        for each in sorted(folder.iterdir())
        if each.is_dir() and not each.name.startswith(".")
    }
    counts = {label: count for label, count in counts.items() if count}
    if len(counts) < 2:
        raise ValueError(
            f"`{folder}` needs at least two folders with images, one per class, such as"
            " photos/cat and photos/dog"
        )
    files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in ENDINGS)
    sizes, has_colours = _looked_at(files[:: max(1, len(files) // SAMPLED)])
    usual = sorted(min(each) for each in sizes)[len(sizes) // 2]
    size = max([each for each in SIZES if each <= usual], default=SIZES[0])
    width = max(map(len, counts))
    total = sum(counts.values())
    layers, channels = "", 16
    pooled = size
    while pooled > 4:
        layers += f"    -> conv({channels}, kernel=3, pad=1) -> batchnorm -> relu -> maxpool(2)\n"
        channels, pooled = min(2 * channels, 64), pooled // 2
    sides = [side for each in sizes for side in each]
    low, high = min(sides), max(sides)
    same = len(set(sizes)) == 1
    said = f"{sizes[0][0]}x{sizes[0][1]} pixels" if same else f"{low} to {high} pixels per side"
    return PICTURES.format(
        name=name,
        folder=folder.name,
        path=path,
        count=total,
        sizes=said,
        listed="\n".join(f"#   {label:<{width}}  {n:,} images" for label, n in counts.items()),
        classes=len(counts),
        channels=3 if has_colours else 1,
        size=size,
        shift=max(1, size // 16),
        layers=layers,
        epochs=min(60, max(10, 40_000 // total)),
    )


def _looked_at(files: list[Path]) -> tuple[list[tuple[int, int]], bool]:
    """Return the sizes of some images, and whether any has colors."""
    try:
        from PIL import Image
    except ImportError:
        raise ValueError("images need Pillow: pip install 'specc-nn[images]'") from None
    sizes, has_colours = [], False
    for file in files:
        try:
            with Image.open(file) as picture:
                sizes.append(picture.size)
                has_colours |= picture.mode not in GREY
        except OSError:
            raise ValueError(f"`{file}` is not an image that Pillow can read") from None
    return sizes, has_colours


def writing(path: Path, name: str, file: str) -> str:
    """Return the text of a model that generates text; `file` is the training text in the model.

    Raises ValueError if the training text has fewer than 1,000 characters or is not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"`{path}` is not UTF-8 (byte {error.start})") from None
    if len(text) < 1000:
        raise ValueError(f"`{path}` has {len(text)} characters; a model needs at least 1,000")
    is_long = len(text) > LONG
    prompt = text.split()[0].replace('"', "") if text.split() else "a"
    return WRITING.format(
        name=name,
        path=file,
        prompt=prompt,
        advice="",
        rate=0.005,
        hidden=128 if is_long else 64,
        time=TIME,
        batch=min(MOST_TEXTS, max(1, len(text) // (10 * TIME))),  # the validation part is 10%
        epochs=5 if is_long else max(5, min(60, 2_000_000 // len(text))),
    )
