"""The data sets of `specc data fetch`: their files, addresses and hashes.

DATASETS["mnist"].files[0].name       # "train-images-idx3-ubyte.gz"
"""

from __future__ import annotations

from specc.system.records import dataclass


@dataclass(frozen=True)
class Remote:
    """A file of a data set. `digest` is "md5:..." or "sha256:..." of its bytes."""

    name: str
    home: str  # the address of the folder
    digest: str
    size: int
    remote_name: str = ""

    @property
    def address(self) -> str:
        """Return the address of the file."""
        return self.home + (self.remote_name or self.name)


@dataclass(frozen=True)
class Dataset:
    """A data set. `usage` shows its use in a `train` block after the download."""

    about: str
    files: tuple[Remote, ...]
    usage: str


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_CIFAR = "https://www.cs.toronto.edu/~kriz/"
_SHAKESPEARE = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"

DATASETS: dict[str, Dataset] = {
    "mnist": Dataset(
        "70,000 handwritten digits of 28x28 pixels (LeCun, Cortes and Burges, 1998)",
        (
            Remote("train-images-idx3-ubyte.gz", _MNIST,
                   "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
            Remote("train-labels-idx1-ubyte.gz", _MNIST,
                   "md5:d53e105ee54ea40749a09fcbcd1e9432", 28_881),
            Remote("t10k-images-idx3-ubyte.gz", _MNIST,
                   "md5:9fb629c4189551a2d022fa330f9573f3", 1_648_877),
            Remote("t10k-labels-idx1-ubyte.gz", _MNIST,
                   "md5:ec29112dd5afa0611ce80d1b7f02629c", 4_542),
        ),
        "data mnist()  test mnist(part = test)",
    ),
    "fashion-mnist": Dataset(
        "70,000 images of clothes of 28x28 pixels (Xiao, Rasul and Vollgraf, 2017)",
        (
            Remote("train-images-idx3-ubyte.gz", _FASHION,
                   "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
            Remote("train-labels-idx1-ubyte.gz", _FASHION,
                   "md5:25c81989df183df01b3e8a0aad5dffbe", 29_515),
            Remote("t10k-images-idx3-ubyte.gz", _FASHION,
                   "md5:bef4ecab320f06d8554ea6380940ec79", 4_422_102),
            Remote("t10k-labels-idx1-ubyte.gz", _FASHION,
                   "md5:bb300cfdad3c16e7a12a480ee83cd310", 5_148),
        ),
        "data fashion_mnist()  test fashion_mnist(part = test)",
    ),
    "cifar10": Dataset(
        "60,000 images of 32x32 pixels in ten classes (Krizhevsky, 2009)",
        (
            Remote("cifar-10-binary.tar.gz", _CIFAR,
                   "md5:c32a1d4ab5d03f1284b67883e8d87530", 170_052_171),
        ),
        "data cifar10()  test cifar10(part = test)",
    ),
    "tinyshakespeare": Dataset(
        "1,115,394 characters of Shakespeare's plays (Karpathy, 2015)",
        (
            Remote("tinyshakespeare.txt", _SHAKESPEARE,
                   "sha256:86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                   1_115_394, "input.txt"),
        ),
        'data text("tinyshakespeare/tinyshakespeare.txt")',
    ),
}  # fmt: skip
