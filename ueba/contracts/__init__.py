"""Values that cross from one package to another: a frozen type or a table of columns, and its form on disk.

Imports nothing of ueba but its errors.
"""
