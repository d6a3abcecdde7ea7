"""Reports from a file of results: `tables` in Markdown, and `plots` as PNG and SVG."""
