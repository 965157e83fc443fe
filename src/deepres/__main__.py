"""``python -m deepres`` is the ``deepres`` command."""

import sys

from deepres.cli.main import main

if __name__ == "__main__":  # the processes that decode images import it too
    sys.exit(main())
