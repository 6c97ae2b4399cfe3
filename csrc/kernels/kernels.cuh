// All kernels, and the list of their names.
#pragma once

#include "conv.cuh"
#include "dense.cuh"
#include "far.cuh"
#include "gate.cuh"
#include "importance.cuh"
#include "joint.cuh"
#include "move.cuh"
#include "pool.cuh"
#include "segment.cuh"
#include "shuffle.cuh"
#include "walk_down.cuh"
#include "walk_far.cuh"
#include "walk_up.cuh"

#define DFIM_KERNELS(X)                                                              \
    X(affine_backward) X(affine_forward) X(average_backward) X(average_forward)      \
    X(channel_max_backward) X(channel_max_forward) X(channel_max_rescale) X(combine) \
    X(contribute) X(conv_backward) X(conv_backward_tf32) X(conv_forward)             \
    X(conv_forward_tf32) X(dense_backward) X(dense_forward) X(dense_forward_tf32)    \
    X(differences) X(differs) X(edit) X(features_backward) X(features_backward_tf32) \
    X(fill) X(flatten) X(gate_backward) X(gate_forward) X(gather)                    \
    X(grouped_backward) X(grouped_forward) X(importance_sums) X(joint_backward)      \
    X(joint_forward) X(lost_groups) X(lost_rows) X(max_backward) X(max_forward)      \
    X(max_rescale) X(one_hot) X(own_change) X(pair_up) X(pick) X(segment_backward)   \
    X(segment_forward) X(shuffle) X(single_units) X(unflatten) X(walk_down)        \
    X(walk_far) X(walk_units) X(walk_up)
