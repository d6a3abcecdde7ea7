"""The process of a peer; started by the driver, see `harness.worker`."""

from harness.worker import main

if __name__ == "__main__":
    main()
