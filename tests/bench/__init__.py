"""The bench: a clock moved by hand, networks that fail by script, crash points, and a runner that puts them together.

The networks keep their own list of visible posts and know nothing of our deliveries: that list is the judge.
"""
