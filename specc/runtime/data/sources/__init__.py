"""The data sources that a `train` block can name, one file for each format.

csv         text tables; `delimited` reads them faster with pyarrow
jsonl       one JSON object per line
arrow       parquet and feather
npz         NumPy arrays
idx, digits, cifar10
            images with labels
images      folders of images, and tables with paths of images
text        texts in which a model predicts the next symbol
"""
