"""`python -m rprov` is `rprov`."""

from rprov.cli.main import main

if __name__ == "__main__":
    main()
