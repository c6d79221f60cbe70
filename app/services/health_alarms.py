"""stub"""


def look(now):
    return 0
