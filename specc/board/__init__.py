"""A page that follows runs while they train: `specc board`.

watch       the runs of a folder, and which of them have changed
server      answers a browser on this machine alone, and tells it of changes
page.html, board.css, board.js      the page
"""
