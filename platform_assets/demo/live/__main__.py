"""`python -m platform_assets.demo.live`: see `runner.py`."""

import sys

from platform_assets.demo.live.runner import main

sys.exit(main())
