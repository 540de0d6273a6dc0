"""Lottery tickets: masks found by rounds of training and rewinding, and ablations of them.

Frankle and Carbin, The Lottery Ticket Hypothesis, ICLR 2019; Frankle et al., Linear Mode Connectivity and the Lottery
Ticket Hypothesis, ICML 2020 (`linear_mode.py`); Frankle et al., Pruning Neural Networks at Initialization: Why Are We
Missing the Mark?, ICLR 2021 (`ablations.py`, `missing_the_mark.py`); Blalock et al., What is the State of Neural
Network Pruning?, MLSys 2020 (`state_of_pruning.py`). The experiments on the last three share `testbed.py`.

    m_{n+1} = top(|W(m_n ⊙ W_k, T)|),   then m_n ⊙ W_k is trained again

Read `tickets.py` (rounds), `ablations.py` (masks shuffled, scores inverted), `linear_mode.py` (are tickets stable?).
"""

from kerasprune.registry import lazy

BRINGS = {
    "reproductions": {
        "linear-mode": "kerasprune.papers.lottery_tickets.linear_mode:linear_mode",
        "missing-the-mark": "kerasprune.papers.lottery_tickets.missing_the_mark:missing_the_mark",
        "state-of-pruning": "kerasprune.papers.lottery_tickets.state_of_pruning:state_of_pruning",
    }
}

__getattr__, __dir__, __all__ = lazy(__name__)
