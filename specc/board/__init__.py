"""A web page that shows runs while they train: `specc board`.

watch       reads the runs of a folder, and keeps track of changes
server      serves the page to a browser on this machine, and sends it changes
page.html, board.css, board.js      the page
"""
