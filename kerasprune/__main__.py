"""`python -m kerasprune` is `kerasprune`."""

from kerasprune.cli import main

if __name__ == "__main__":
    main()
