"""`column NAME = formula`: raw columns become inputs and targets.

values      what a formula makes: numbers, words, dates, truth values, classes or symbols
dates       texts as dates
steps       the words: `standardize`, `fill`, `class`, ..
arithmetic  the operators and functions of numbers
whole       the words for many columns: `columns`, `rest`, `numbers`, `concat`
evaluate    a formula, with statistics that it learns or is given
"""
