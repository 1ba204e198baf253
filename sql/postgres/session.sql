-- What an extract's meaning must not depend on: set for its transaction only.
SET TRANSACTION READ ONLY;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL datestyle = iso, ymd;
SET LOCAL standard_conforming_strings = on;
-- Fail rather than leave out rows that a policy hides.
SET LOCAL row_security = off;
-- One pass over the table with short expressions: compiling them costs more than it saves.
SET LOCAL jit = off;
