"""Deep Compression: sizes of AlexNet and VGG-16 that can be counted without training, and what two figures show.

Han, Mao and Dally, Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and Huffman
Coding, ICLR 2016, arXiv 1510.00149.

The method itself is in the core: `kerasprune/export/codec` (sharing, coding, the file) and
`kerasprune/callbacks/trained_quantization.py`. Read `imagenet_sizes.py`, and
`figures.py` (what Figures 5 and 6 compare with).
"""

BRINGS = {
    "reproductions": {"deep-compression": "kerasprune.papers.deep_compression.imagenet_sizes:deep_compression"},
}
