"""Projects points of many dimensions to the plane.

    places, axes = placed(values, "pca")       # [n, 2], and a label for each axis

"pca" is built in; "tsne" needs scikit-learn, and "umap" needs the package umap-learn.
"""

from __future__ import annotations

import numpy as np

METHODS = {
    "pca": "the two directions of largest variance",
    "tsne": "t-SNE (van der Maaten and Hinton, 2008), which keeps neighbors together",
    "umap": "UMAP (McInnes, Healy and Melville, 2018), which keeps neighbors together",
}
"""A description of each method for captions."""
LEAST = 5
"""Smallest number of points for t-SNE and UMAP."""
NEIGHBOURS = 30
"""The perplexity of t-SNE, and twice the number of neighbors of UMAP, if there are enough points.
"""


def placed(values: np.ndarray, method: str = "pca") -> tuple[np.ndarray, tuple[str, str]]:
    """Return coordinates [n, 2] of values [n, d], and the labels of the axes.

    Raises ValueError for an unknown method, LookupError for too few points, and ImportError if a
    package is missing.
    """
    if method == "pca":
        places, shares = principal(values)
        x, y = (f"axis {k + 1}: {share:.0%} of the variance" for k, share in enumerate(shares))
        return places, (x, y)
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {', '.join(METHODS)}, not {method!r}")
    if len(values) < LEAST:
        raise LookupError(f"{method} needs at least {LEAST} points, but there are {len(values)}")
    places = _tsne(values) if method == "tsne" else _umap(values)
    return np.asarray(places, np.float64), ("", "")


def _tsne(values: np.ndarray) -> np.ndarray:
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise ImportError("t-SNE needs scikit-learn: `pip install 'specc-nn[embed]'`") from None
    perplexity = min(NEIGHBOURS, (len(values) - 1) / 3)
    return TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(
        np.asarray(values, np.float32)
    )


def _umap(values: np.ndarray) -> np.ndarray:
    import warnings

    try:
        from umap import UMAP
    except ImportError:
        raise ImportError("UMAP needs umap-learn: `pip install 'specc-nn[embed]'`") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # UMAP warns that a fixed seed limits it to one thread
        made = UMAP(n_neighbors=min(NEIGHBOURS // 2, len(values) - 1), random_state=0)
        return made.fit_transform(np.asarray(values, np.float32))


def principal(values: np.ndarray, axes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates [n, axes] along the principal axes, and their shares of variance.

    Pearson, On lines and planes of closest fit, 1901. The largest weight of an axis is made
    positive, so that the sign is always the same.
    """
    centred = values - values.mean(0)
    is_wide = centred.shape[1] > centred.shape[0]
    # use the smaller of the two Gram matrices, which have the same nonzero eigenvalues
    sizes, vectors = np.linalg.eigh(centred @ centred.T if is_wide else centred.T @ centred)
    sizes, directions = np.maximum(sizes[::-1][:axes], 0), vectors.T[::-1][:axes]
    if is_wide:
        directions = directions @ centred
        lengths = np.linalg.norm(directions, axis=1, keepdims=True)
        directions = directions / np.where(lengths == 0, 1, lengths)
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(1)])
    directions = directions * np.where(signs == 0, 1, signs)[:, None]
    total = float((centred**2).sum()) or 1.0
    found = centred @ directions.T
    if found.shape[1] < axes:
        found = np.pad(found, ((0, 0), (0, axes - found.shape[1])))
    return found, np.pad(sizes / total, (0, axes))[:axes]
