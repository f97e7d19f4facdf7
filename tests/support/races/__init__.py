"""What racers do (tests/support/racers.py). Each function returns what is then to be done at the same moment.

`world` makes an instance of its own by the slug that it is given, so that many races use one database.
"""
