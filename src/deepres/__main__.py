"""``python -m deepres`` is the command, and what torchrun starts."""

import os
import sys

from deepres.cli.main import main
from deepres.torchrun import number_of_processes

if __name__ == "__main__":  # processes that decode images import this module too
    status = main()
    if number_of_processes() > 1:
        # All is written. A thread of the processes' messages can abort Python's own end, rarely,
        # and torchrun would end the others for it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
