"""One HTML page about a run: `specc report RUN`.

page        the whole page: texts, tables and plots
at_end      the report at the end of training
highlight   syntax highlighting of a model
style.css   the style of the page: light, dark and printed
ticks.js    round numbers for axes, for this page and the board
script.js   hover and zoom in curves, and the switch between light and dark
"""
