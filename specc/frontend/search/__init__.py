"""Searches: `search(64, 128)` and `search(1e-4, 0.1; log)` where a number or a word may be.

In: a file's tree. Out: the space of its searches, and the file with a value for each of them.

    space = searches(file, scope, report)
    values = decide(space, lambda search: search.corners[0])     # {"hidden": "64", "lr": 0.0001}
    filled(file, space, values)                                  # the tree that is checked
    written(file, space, values)                                 # the text that is trained

space     one search, and all of a file
find      the searches in a tree
decide    which searches a choice of values leaves open: those in branches that are taken
fill      the tree, or the text, with values in the place of the searches
verdict   whether all combinations check
"""
