"""Reports of an evaluation: files of numbers, tables, an HTML page, a model card."""
