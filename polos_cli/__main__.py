"""`python -m polos_cli`: the same as `polos`. Does nothing else."""

import sys

from polos_cli.app import main

sys.exit(main())
