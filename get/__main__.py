"""`python -m get` is the command `get`."""

from get.cli import main

raise SystemExit(main())
