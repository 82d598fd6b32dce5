"""New projects (`specc new`): a first model that trains at once.

table         analyzes a table, and writes a model for it
own           writes a model for a folder of images, or for a text
templates     projects with example data
"""
