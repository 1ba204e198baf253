-- All the rights an ingestion needs; run it as the table's owner for the role that SOURCE_USER names.
grant usage on schema retail to {{ reader }};
grant select on retail.user_purchase to {{ reader }};
