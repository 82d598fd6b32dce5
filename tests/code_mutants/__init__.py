"""Mutation testing: single changes of the compiler's code that some test must notice.

    python -m tests.code_mutants --count 300 --seed 0    # hours; goes on where it stopped
    python -m tests.code_mutants --report                # the table of the results so far

It needs coverage (`pip install '.[mutants]'`) and a system with `fork`.

changes   every single change of a source file: a comparison, a number, an operator, a statement
trace     which test executes which lines, and how long it takes
swap      puts a change into the functions of a running process
run       the plugin of pytest that forks a process for each mutant and runs its tests there
report    the table of the results; `equivalent.txt` argues for survivors that change no result
"""
