"""`python -m hindsight` is `hindsight`."""

from hindsight.cli import main

raise SystemExit(main())
