"""New projects: a first model that trains at once, from a template or from a table.

table         what each column of a table holds, and the model for it
templates     projects that bring their own data
"""
