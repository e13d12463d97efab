"""The contract is a module of tests that others import: its asserts shall speak as those of any test do."""

import pytest

pytest.register_assert_rewrite("contract", "contract_wire")
