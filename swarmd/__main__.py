"""python -m swarmd is the swarmd command."""

from swarmd.cli.main import main

if __name__ == "__main__":
    main(prog_name="swarmd")
