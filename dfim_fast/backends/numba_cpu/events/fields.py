"""What the header of a thread's memory holds: one int64 each, mostly addresses.

Compiled functions pass two integers around, the address of this header and of the network's. That
keeps their compilation short and their calls free of reference counting.
"""

NEW = 0  # blob: the mutant's values, in the rows that are flagged
DIFFERENCE = 1  # blob: differences in what is propagated back, in the rows that are flagged
WINNER = 2  # winners of the mutant's max pools
CHANGED = 3  # bytes: rows of NEW in use
MOVED = 4  # bytes: rows of DIFFERENCE in use
SPANS = 5  # per node, intervals in which CHANGED may be set
COUNTS = 6  # and how many
BACK_SPANS = 7  # the same for MOVED
BACK_COUNTS = 8
BOTH = 9  # scratch list
BOTH_COUNT = 10
BAND = 11  # positions at which the mutant's importance differs
BAND_COUNT = 12
CHANNEL = 13  # int64: entries of the rows in hand
VALUE = 14  # float32
SCRATCH = 15  # one row
MEAN = 29  # one row of the map, zero between uses
SPREAD = 30

# set for the sequence and reference in hand
ACTS = 16  # blob: the original's activations
WINNERS = 17
REFERENCE = 18  # blob: the reference's activations
REFERENCE_WINNERS = 19
RULE = 20  # GRADIENT, SHAP or DEEPLIFT
EPSILON = 21  # float32
PLAIN = 22  # 1: propagate DIFFERENCE through the original's own gates
U_KIND = 23  # what arrives at the original's nodes, see arriving.py
U_VALUES = 24
U_LANES = 25
U_KNOWN = 26
U_COEFFICIENT = 27
U_LANE = 28
QUOTIENTS = 31  # blob: the original's multipliers against the reference, at activations
LIST = 32  # entries that are read, see lists.py
NEXT_LIST = 33  # entries that are written
PLACES = 34  # int64: where each entry's weights lie
SELF = 35  # address of this header: a group of one
DELTA = 36  # what the mutant changes at the node in hand
SUMS = 37  # a few vectors per mutant
FRAME = 38  # see pull.py
ZEROS = 39  # a few vectors
FUNCTIONS = 40  # addresses, see pull.py
FORWARD = 41  # addresses of the two ways through the trunk
BACKWARD = 42
NARROW = 43  # 1: the targets are restricted, and need only
NEED = 44  # these rows of each node, see need.py
U_ROWS = 45
U_LIST = 46
U_COUNT = 47
U_SCALE = 48
SIZE = 49

# header of the network
TABLE, INDEX, WEIGHT, NODES, ROWS = 0, 1, 2, 3, 4
