"""Fixes of errors: finding them, verifying that they help, and applying them.

fixes           a fix is offered only if the file checks better with it
operands        functions that make the operands of an operation fit
apply           the fixes that `specc check --fix` applies
"""
