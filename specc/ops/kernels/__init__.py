"""The kernels of the ops that have one of their own, each in the file of its op's name.

They are written in the language of kernels (`specc.target.parse`), and Python never runs them. The
annotations are types of that language, and its functions need no import.
"""
