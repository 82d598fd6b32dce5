"""New projects: a first model that trains at once, from a template or from a table.

table         what each column of a table holds, and the model for it
own           the model for a folder of pictures, or for a text
templates     projects that bring their own data
"""
