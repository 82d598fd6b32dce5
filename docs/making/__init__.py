"""What makes the parts of the documentation that no one writes by hand.

typeset     definitions of the library as formulas, in MathML
reference   the pages of the reference, from what `specc explain` knows
hooks       what MkDocs calls: the reference, drawings of models, formulas

    pip install '.[docs]' && mkdocs build --strict     # the whole site, in site/
"""
