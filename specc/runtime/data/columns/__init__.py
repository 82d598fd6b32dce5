"""`column NAME = formula`: turns raw columns into inputs and targets.

values      the result of a formula: numbers, words, dates, booleans, classes or symbols
dates       texts as dates
steps       the functions: `standardize`, `fill`, `class`, ..
arithmetic  the operators and functions of numbers
whole       the functions of many columns: `columns`, `rest`, `numbers`, `concat`
evaluate    evaluates a formula, with statistics that it learns or is given
"""
