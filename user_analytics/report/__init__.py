"""The report of a date: figures read from the warehouse, drawn as SVG, on one self-contained HTML page."""
