"""``python -m deepres`` is the command, and what torchrun starts."""

import os
import sys

from deepres.cli.main import main

if __name__ == "__main__":  # processes that decode images import this module too
    status = main()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # All is written. A thread of the processes' messages can abort Python's own end, rarely,
        # and torchrun would end the others for it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)
