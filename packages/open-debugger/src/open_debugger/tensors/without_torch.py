"""smdebug, imported without torch; this comes before every other import of smdebug here.

smdebug wants torch for the rank of a process that writes tensors. A process that reads them has no
use for it, and saves 1.2 s and 470 MB.
"""

import sys

if "torch" not in sys.modules and "smdebug" not in sys.modules:
    sys.modules["torch"] = None  # an import of it fails, which smdebug is ready for
    try:
        import smdebug.core.utils  # noqa: F401
    finally:
        del sys.modules["torch"]
