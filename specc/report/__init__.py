"""One page on a run, for a browser: `specc report RUN`.

page        the whole page: texts, tables and the figures of `specc.plots`
at_end      the report of a training that has just ended
highlight   a model's text with its parts in colours
style.css   how the page looks, by day, by night and on paper
ticks.js    round numbers along an axis, for this page and the board
script.js   what moves: hover and zoom in curves, the switch between day and night
"""
