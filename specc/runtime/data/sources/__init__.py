"""The sources of data that a `train` block may name, one file for each form.

csv         tables of text; `delimited` reads them fast with pyarrow
jsonl       a JSON object a line
arrow       parquet and feather
npz         arrays of NumPy
idx, digits, cifar10
            images with labels
images      folders of pictures, and tables with their paths
text        texts, of which a model predicts the next symbol
"""
