"""`python -m activitymodule` is the same as `activity`."""

from activitymodule.cli import main

if __name__ == "__main__":
    main()
