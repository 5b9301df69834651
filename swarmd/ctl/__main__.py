"""python -m swarmd.ctl is the swarmctl command."""

from swarmd.ctl.main import main

if __name__ == "__main__":
    main(prog_name="swarmctl")
