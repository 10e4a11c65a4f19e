"""The kinds of objects, a shelf a file; the catalogue finds them by scanning."""
