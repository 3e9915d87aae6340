"""Read run directories: find, select, compare, format. Imported by claims and cli; imports run and below."""
