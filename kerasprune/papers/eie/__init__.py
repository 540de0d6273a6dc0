"""EIE: what a chip for compressed dense layers takes, by its arithmetic: entries, cycles, energy of memory.

Han et al., EIE: Efficient Inference Engine on Compressed Deep Neural Network, ISCA 2016, arXiv 1602.01528.

Read `columns.py` (a layer as its processing elements hold it, and the cycles of one vector) and `eie_figures.py` (the
figures of the abstract next to it). No constant is fitted.
"""

BRINGS = {"reproductions": {"eie": "kerasprune.papers.eie.eie_figures:eie"}}
