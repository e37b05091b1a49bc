"""What is done with W: the products of a layer, for examples in columns, in rows, and one at a time."""
