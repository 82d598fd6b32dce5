"""One HTML page about a run: `specc report RUN`.

document    the frame of a page, its sections and tables
page        the page of a run: texts, tables and plots
sweep       the page of a sweep: its trials, what mattered, the best text
at_end      the report at the end of training
highlight   syntax highlighting of a model
style.css   the style of the page: light, dark and printed
ticks.js    round numbers for axes, for this page and the board
script.js   hover and zoom in curves, and the switch between light and dark
"""
