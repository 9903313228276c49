"""Reports of an evaluation: numbers, tables, a page, a model card."""
