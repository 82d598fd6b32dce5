"""What `specc explain` prints.

explain         the page of a word, an error or a warning
examples        a small program for each word
training        the settings of `train`
"""
