"""`make setup`: look at the version of Python, then leave the work to `installation.py`.

An old Python cannot even read today's syntax, so this file keeps to what every Python since 2.7 understands.
"""

import sys

OLDEST = (3, 11)

if sys.version_info < OLDEST:
    sys.exit(
        "This is Python {} ({}), and hindsight needs {}.{} or newer: name a Python that is, for example "
        "`make setup PYTHON=python3.12`.".format(sys.version.split()[0], sys.executable, *OLDEST)
    )

from installation import main  # noqa: E402

sys.exit(main())
