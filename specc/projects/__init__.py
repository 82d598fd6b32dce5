"""New projects (`specc new`): a first model that trains at once.

look          analyzes the columns of a table
table         writes a model for a table
own           writes a model for a folder of images, or for a text
templates     projects with example data
"""
