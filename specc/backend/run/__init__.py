"""Running compiled programs: the memory for their values, and the threads that run their calls.

pool          a pool of objects, each of which one thread at a time uses
executor      the threads, and the program that they run: phases of calls, separated by barriers
code          the calls of a program with the addresses of their kernels
storage       the memory of a program and the addresses in it
neighbours    memory that the processes of one machine share
ranks         several processes that train together
exchange      the values that travel between machines in a step
spread        the calls of a program on one of several ranks
program       a plan, compiled for the types of the data, ready to run
results       arrays for results, which are reused
prepared      predictions and training steps with little overhead in Python
fastest       the fastest of several calls that return the same bits
"""
