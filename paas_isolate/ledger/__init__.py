"""What was used, in an SQLite file: the only package that opens it.

Nothing is counted twice: use and the reading up to which it is counted are written in one transaction. A disk that is
full loses nothing old. A damaged file is set aside, with a message, and a new one is begun.
"""
