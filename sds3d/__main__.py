"""`python -m sds3d` is the `sds3d` command."""

from .cli.main import main

if __name__ == "__main__":
    main()
