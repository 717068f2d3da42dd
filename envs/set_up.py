"""`make setup`: check the version of Python, then call `installation.py`.

This file keeps to a syntax that every Python since 2.7 understands, so that an old one can print the message.
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
