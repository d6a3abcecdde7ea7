"""From a file of results to pages: `tables` (Markdown) and `plots` (PNG and SVG)."""
