"""What crosses from one room to another: a frozen type or a table of columns for each noun, with its form on disk.

Imports nothing of ueba but its errors.
"""
