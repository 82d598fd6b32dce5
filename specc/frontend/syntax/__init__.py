"""From text to the syntax tree: tokens, the grammar's tables, the parser, and syntax errors.

In the order of their use:

reading         the text of a file, or the reason why it cannot be read
lex             from text to tokens, comments and doc comments
grammar         the LALR(1) tables of `grammars/dl.lark`
parser          the automaton that runs on these tables
parse           from tokens to a tree, with all syntax errors
build           from recognised rules to nodes
build_indices   the same for formulas with indices
ast             the nodes
recovery        where the parser continues after an error
errors          the error at a token that does not fit
repairs         common errors, parsed as they were meant
brackets        unmatched brackets and braces
expectations    descriptions of the expected tokens in each state of the parser
tree            the tree as text, for `specc show --stage tree`
"""
