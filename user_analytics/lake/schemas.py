"""The columns of the raw data: what ingestion writes and Spark reads."""

import pyarrow as pa

from user_analytics.lake.manifest import Table

RAW_SCHEMAS: dict[Table, pa.Schema] = {
    "movie_review": pa.schema(
        [
            pa.field("review_id", pa.int64(), nullable=False),
            pa.field("cid", pa.int64(), nullable=False),
            pa.field("review_str", pa.string(), nullable=False),
        ]
    ),
    "user_purchase": pa.schema(
        [
            pa.field("invoice_number", pa.string(), nullable=False),
            pa.field("stock_code", pa.string(), nullable=False),
            pa.field("detail", pa.string()),
            pa.field("quantity", pa.int64(), nullable=False),
            pa.field("invoice_date", pa.timestamp("us", "UTC"), nullable=False),
            pa.field("unit_price", pa.decimal128(8, 3), nullable=False),
            pa.field("customer_id", pa.int64()),
            pa.field("country", pa.string()),
        ]
    ),
}
"""`review_id`: 1-based ordinal of the record in its file. Money is decimal, times are instants."""
