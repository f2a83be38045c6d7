"""A description that cannot be imported."""

import acme_library_that_is_missing

ENGINE = acme_library_that_is_missing.ENGINE
