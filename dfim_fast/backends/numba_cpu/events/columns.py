"""What the columns of the instruction table mean. One row is one node of the trunk.

Rows of activations are ``pitch`` floats long, channels padded with zeros to whole vectors; every
blob of activations, windows or multipliers has the row ``i`` of node ``n`` at
``BASE[n] + i * PITCH[n]``. Offsets count floats in the weight blob, integers in the index blob.
"""

OP = 0  # one of the operators below
ROWS = 1  # positions
CHANNELS = 2
PITCH = 3  # floats from one row to the next
BASE = 4  # first float in a blob of activations
FLAGS = 5  # first entry in the arrays that hold one value per row
SOURCE = 6  # first input
SOURCES = 7  # index blob: all inputs
COUNT = 8  # number of inputs
KERNEL = 9
STRIDE = 10
DILATION = 11
PAD = 12
FORWARD = 13  # index blob: number of blocks, then for each first vector, half vectors, weights
FORWARD_STEP = 14  # rows between the outputs that one input row reaches
WINNER = 15  # MAX_POOL: first value in a blob of winners (input rows, as floats)
BACKWARD = 16  # weights (channels out, kernel, pitch in)
BACKWARD_BLOCK = 17  # floats per output channel
BIAS = 18  # (pitch,)
AFRESH = 19  # convolution of the bases themselves: changed rows are summed again from scratch
SCALE = 20  # scale (Affine), slope below zero (activations), factor per row (AveragePool)
SCALE_PITCH = 21  # 0 where all rows share it
SHIFT = 22
SHIFT_PITCH = 23
INDEX = 24  # index blob: parts of a Concat (row or channel), picked channels of a Take
FIRST = 25  # Take of positions: input row of output 0 ...
STEP = 26  # ... and from there on
TOP = 27  # first float in what arrives from the head, -1 where the head does not read the node
ENTRY = 28  # first (row, channel) in arrays that hold one value per entry
HEADS = 29  # index blob: number of head layers that read this node, then for each of them:
# kind (MATRIX or SUM), first value among the head's inputs, weight blob offset, pitch
FUSED = 30  # convolution whose only reader is an activation: that node, else -1
BACK = 31  # index blob: number of blocks, then for each remainder of a row by the stride: taps,
# the last of them, and the blocks as in FORWARD, taps in descending order
BASES = 32  # weights down to the sequence (channels out, BASES_BLOCK), see backward.py
BASES_BLOCK = 33
CHAIN = 34  # the bits below, see ``layout.Builder.chains``
KEPT = 35  # whether the way down reads the mutant's rows again, see ``replay.mark_kept``
UP_CODE = 36  # addresses of what is called for one mutant on the way up, and down; see ``steps``
DOWN_CODE = 37
STORE = 38  # first of a node's vectors of a basis, -1 where it only passes others on, see ``basis``
WIDTH = 39  # number of columns

UP, FROM_BELOW, DOWN, FROM_ABOVE, GATE, BASE_ROWS = 1, 2, 4, 8, 16, 32

MATRIX, SUM = 0, 1  # weights (rows * channels, pitch); or one factor per row, channel by channel

INPUT, CONV, ACTIVATION, MAX_POOL, AVERAGE_POOL, AFFINE = 0, 1, 2, 3, 4, 5
ADD, CONCAT_ROWS, CONCAT_CHANNELS, TAKE_ROWS, TAKE_CHANNELS = 6, 7, 8, 9, 10

GRADIENT, SHAP, DEEPLIFT = 0, 1, 2  # how multipliers are propagated

SPANS = 8  # disjoint intervals kept per node
