"""ONE light: search and load a release from wherever it was put, with no database behind it.

>>> from one_bridge.light import ONE
>>> one = ONE()
>>> one.set_figshare_url("https://figshare.com/articles/dataset/name/9974357")  # doctest: +SKIP
>>> session = one.search(["trials"])[0]  # doctest: +SKIP
>>> trials = one.load_object(session, "trials")  # doctest: +SKIP
"""

from one_bridge.light.one import ONE

__all__ = ["ONE"]
