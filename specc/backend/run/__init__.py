"""Compiled programs at work: memory for their values, and the threads that run their calls.

pool          objects that one thread at a time uses
executor      the threads, and the program that they run: phases of calls with barriers between
storage       the memory of a program and the addresses in it
program       a plan, compiled for the types of the data, ready to run
results       arrays for results, which are used again
prepared      predictions and steps with little Python around them
fastest       the fastest of some calls that return the same bits
"""
