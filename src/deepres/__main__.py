"""``python -m deepres`` is the ``deepres`` command."""

import sys

from deepres.cli.main import main

sys.exit(main())
