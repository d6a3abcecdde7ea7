"""What scripts that tests run in processes of their own ask about the threads there."""

#: Code for the beginning of a script that has imported spkernels.
SETUP = """
import os, time

def names():
    found = []
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/comm") as file:
                found.append(file.read().strip())
        except FileNotFoundError:
            pass
    return found

def own():
    # Threads of the pool set their names when they begin to run.
    for _ in range(100):
        if "spkernels" in names():
            break
        time.sleep(0.01)
    return names().count("spkernels")

def check_not_own():
    # On a busy machine, products that had to wait for a thread go to the pool for a while.
    assert own() == 0 or spkernels._core.contended_regions() > 0, names()
"""
