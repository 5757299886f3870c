"""What was normal before a day.

history    every pair and entity learned, as tables
lessons    what learning leaves out: strange edges and confirmed attacks
walk       the lake's days in order, each before it is learned; the history before a day
"""
