"""`python -m primus_lens_local` is `primus-lens-local`."""

import sys

from primus_lens_local.cli import main

sys.exit(main())
