"""Text to syntax tree: tokens, the grammar's tables, the parser, and what it says of syntax errors.

In the order of the way through them:

reading         the text of a file, or why it cannot be read
lex             text to tokens, comments and doc comments
grammar         the LALR(1) tables of `grammars/dl.lark`
parser          the automaton that runs on these tables
parse           tokens to a tree, with all syntax errors
build           the rules that the parser recognises to nodes
build_indices   the same, of formulas with indices
ast             the nodes
recovery        where the parser continues after an error
errors          which error it is
repairs         errors whose meaning is plain, read as what was meant
brackets        brackets and braces that are not closed or not opened
expectations    what the grammar expects in each state of the parser, in words
tree            a tree as text, for `specc show --stage tree`
"""
