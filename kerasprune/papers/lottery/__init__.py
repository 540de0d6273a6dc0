"""Lottery tickets: masks found by rounds of training and rewinding, and ablations of them.

Frankle and Carbin, The Lottery Ticket Hypothesis, ICLR 2019; Frankle et al., Pruning Neural Networks at Initialization:
Why Are We Missing the Mark?, ICLR 2021 (`ablations.py`); Frankle et al., Linear Mode Connectivity and the Lottery
Ticket Hypothesis, ICML 2020 (`linear_mode.py`).

    m_{n+1} = top(|W(m_n ⊙ W_k, T)|),   then m_n ⊙ W_k is trained again

Read `tickets.py` (rounds), `ablations.py` (masks shuffled, scores inverted), `linear_mode.py` (are tickets stable?).
"""

BRINGS = {"reproductions": {"linear-mode": "kerasprune.papers.lottery.linear_mode:linear_mode"}}
