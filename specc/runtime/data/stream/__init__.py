"""Data larger than memory: read in pieces, stored as binary files, trained on in windows.

    data = streamed(recipe, ports, folder, parts=("training", "validation"))
    data.training.stored.read({"x": 0}, ...)

pieces      the table of a source, piece by piece
split       decides which part each row belongs to, without keeping all rows
learn       statistics of formulas from all pieces
store       the files with the columns of a part
streamed    all passes over the data: learn, check, write
"""
