"""Fixtures shared by all tests; each plugin module under tests/fixtures owns one real part."""

pytest_plugins = [
    "tests.fixtures.chromium",
    "tests.fixtures.emulator",
    "tests.fixtures.helm",
    "tests.fixtures.kubernetes_api",
    "tests.fixtures.kubernetes_schemas",
    "tests.fixtures.minio",
    "tests.fixtures.postgres",
    "tests.fixtures.spark",
    "tests.fixtures.warehouse",
]
