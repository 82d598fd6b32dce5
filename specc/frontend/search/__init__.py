"""Searches: `search(64, 128)` and `search(1e-4, 0.1; log)` in place of a number or a function.

In: the tree of a file. Out: its search space, and the file with a value for each search.

    space = searches(file, scope, report)
    values = decide(space, lambda search: search.corners[0])     # {"hidden": "64", "lr": 0.0001}
    filled(file, space, values)                                  # the tree that is checked
    written(file, space, values)                                 # the text that is trained

space     one search, and all of a file
find      the searches in a tree
decide    the active searches: those in branches that are taken
fill      the tree or the text, with values in place of the searches
verdict   whether the model is valid for all combinations
"""
