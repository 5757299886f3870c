"""From a day's edges and the past to surprise, p-values and strangeness.

detector     the trained model and what it says of each edge
train        learning a model from the lake
review       what a training sets aside of days that were never scored
calibration  surprise -> p-value, among users of similar breadth
carryover    what a user's strange days before a day add
inspection   whether p-values are even, and what a threshold costs
"""
