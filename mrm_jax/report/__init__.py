"""What is said of a run: numbers, tables, pictures, a page and a model card."""
