"""`python -m get` is the command `get`."""

from get.cli import run

if __name__ == "__main__":  # not in the processes that it starts
    run()
