"""Data larger than memory: read in pieces, kept as files of numbers, trained on in windows.

    data = streamed(recipe, ports, folder, parts=("training", "validation"))
    data.training.stored.read({"x": 0}, ...)

pieces      the tables of a source, piece by piece
split       which part each row belongs to, by its number alone
learn       statistics of formulas, from all pieces
store       the files that hold the columns of a part
streamed    all passes over the data: learn, check, write
"""
