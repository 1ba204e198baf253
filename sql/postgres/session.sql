-- What an extract must not depend on, set for its transaction only: it reads one snapshot and writes
-- nothing, names mean the system's own, times come as ISO 8601, floating-point numbers with all their
-- digits, and rows that a policy hides are an error rather than left out. Compiling the short
-- expressions would cost more than it saves.
select
    pg_catalog.set_config('transaction_read_only', 'on', true) as transaction_read_only,
    pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true) as search_path,
    pg_catalog.set_config('datestyle', 'ISO, YMD', true) as datestyle,
    pg_catalog.set_config('extra_float_digits', '1', true) as extra_float_digits,
    pg_catalog.set_config('row_security', 'off', true) as row_security,
    pg_catalog.set_config('jit', 'off', true) as jit
