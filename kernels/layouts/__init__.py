"""What Python and the kernels both know, none of it compiled: records, the places of their fields, constants."""
