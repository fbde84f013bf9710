/* The few calls and numbers of cuDNN 9's graph API (its C "backend" API) that are used, as NVIDIA's documentation has them:
 * declared here, since machines that build this program rarely have cuDNN's headers.  Where they are, a test compares
 * (tests/backend/test_cudnn.c).
 * SPDX-License-Identifier: MIT */
#ifndef ZM_BACKEND_CUDA_CUDNN_API_H
#define ZM_BACKEND_CUDA_CUDNN_API_H

#include <stddef.h>
#include <stdint.h>

/* name here, name there, value */
#define ZM_DNN_NUMBERS(X)                                                                                              \
    X(DNN_FLOAT, CUDNN_DATA_FLOAT, 0)                                                                                  \
    X(DNN_BFLOAT16, CUDNN_DATA_BFLOAT16, 9)                                                                            \
    X(DNN_CROSS_CORRELATION, CUDNN_CROSS_CORRELATION, 1)                                                               \
    X(DNN_ADD, CUDNN_POINTWISE_ADD, 0)                                                                                 \
    X(DNN_MODE_FALLBACK, CUDNN_HEUR_MODE_FALLBACK, 2)                                                                  \
    X(DNN_MODE_A, CUDNN_HEUR_MODE_A, 3)                                                                                \
    X(DNN_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_TENSOR_CORE, 0)                                                       \
    X(DNN_NOTE_STRICT_NAN, CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP, 9)                                                    \
    /* types of attributes */                                                                                          \
    X(DNN_HANDLE, CUDNN_TYPE_HANDLE, 0)                                                                                \
    X(DNN_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1)                                                                          \
    X(DNN_BOOLEAN, CUDNN_TYPE_BOOLEAN, 2)                                                                              \
    X(DNN_INT64, CUDNN_TYPE_INT64, 3)                                                                                  \
    X(DNN_FLOATS, CUDNN_TYPE_FLOAT, 4)                                                                                 \
    X(DNN_POINTER, CUDNN_TYPE_VOID_PTR, 6)                                                                             \
    X(DNN_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 7)                                                                   \
    X(DNN_HEUR_MODE, CUDNN_TYPE_HEUR_MODE, 8)                                                                          \
    X(DNN_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, 11)                                                                         \
    X(DNN_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 14)                                                               \
    X(DNN_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR, 15)                                                               \
    X(DNN_CHAR, CUDNN_TYPE_CHAR, 24)                                                                                   \
    /* descriptors */                                                                                                  \
    X(DNN_POINTWISE, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, 0)                                                            \
    X(DNN_CONVOLUTION, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, 1)                                                        \
    X(DNN_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 2)                                                                  \
    X(DNN_CONFIG, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, 3)                                                               \
    X(DNN_HEURISTICS, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, 4)                                                          \
    X(DNN_PLAN, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, 5)                                                            \
    X(DNN_CONVOLVE, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, 10)                                        \
    X(DNN_MAP, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, 13)                                                       \
    X(DNN_GRAPH, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, 15)                                                          \
    X(DNN_PACK, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, 16)                                                             \
    X(DNN_TENSOR, CUDNN_BACKEND_TENSOR_DESCRIPTOR, 17)                                                                 \
    X(DNN_CARD, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, 38)                                                               \
    /* their attributes */                                                                                             \
    X(DNN_POINTWISE_IS, CUDNN_ATTR_POINTWISE_MODE, 0)                                                                  \
    X(DNN_POINTWISE_TYPE, CUDNN_ATTR_POINTWISE_MATH_PREC, 1)                                                           \
    X(DNN_CONVOLUTION_TYPE, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, 100)                                                     \
    X(DNN_CONVOLUTION_MODE, CUDNN_ATTR_CONVOLUTION_CONV_MODE, 101)                                                     \
    X(DNN_CONVOLUTION_DILATIONS, CUDNN_ATTR_CONVOLUTION_DILATIONS, 102)                                                \
    X(DNN_CONVOLUTION_STRIDES, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, 103)                                             \
    X(DNN_CONVOLUTION_AFTER, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, 104)                                                \
    X(DNN_CONVOLUTION_BEFORE, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, 105)                                                \
    X(DNN_CONVOLUTION_AXES, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 106)                                                  \
    X(DNN_HEURISTICS_MODE, CUDNN_ATTR_ENGINEHEUR_MODE, 200)                                                            \
    X(DNN_HEURISTICS_GRAPH, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, 201)                                                \
    X(DNN_HEURISTICS_FOUND, CUDNN_ATTR_ENGINEHEUR_RESULTS, 202)                                                        \
    X(DNN_HEURISTICS_CARD, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, 204)                                                      \
    X(DNN_CONFIG_ENGINE, CUDNN_ATTR_ENGINECFG_ENGINE, 300)                                                             \
    X(DNN_PLAN_HANDLE, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, 400)                                                          \
    X(DNN_PLAN_CONFIG, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, 401)                                                   \
    X(DNN_PLAN_WORKSPACE, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, 402)                                               \
    X(DNN_PLAN_CARD, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, 407)                                                        \
    X(DNN_CONVOLVE_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 700)                                         \
    X(DNN_CONVOLVE_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 701)                                           \
    X(DNN_CONVOLVE_BY, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, 702)                                        \
    X(DNN_CONVOLVE_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, 703)                                                 \
    X(DNN_CONVOLVE_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, 704)                                                 \
    X(DNN_CONVOLVE_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, 705)                                                 \
    X(DNN_MAP_BY, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, 750)                                                   \
    X(DNN_MAP_X, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, 751)                                                            \
    X(DNN_MAP_B, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, 752)                                                            \
    X(DNN_MAP_Y, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, 753)                                                            \
    X(DNN_GRAPH_HANDLE, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, 800)                                                         \
    X(DNN_GRAPH_NODES, CUDNN_ATTR_OPERATIONGRAPH_OPS, 801)                                                             \
    X(DNN_TENSOR_ALIGNMENT, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 900)                                                     \
    X(DNN_TENSOR_TYPE, CUDNN_ATTR_TENSOR_DATA_TYPE, 901)                                                               \
    X(DNN_TENSOR_SIZES, CUDNN_ATTR_TENSOR_DIMENSIONS, 902)                                                             \
    X(DNN_TENSOR_STEPS, CUDNN_ATTR_TENSOR_STRIDES, 903)                                                                \
    X(DNN_TENSOR_ID, CUDNN_ATTR_TENSOR_UNIQUE_ID, 906)                                                                 \
    X(DNN_TENSOR_VIRTUAL, CUDNN_ATTR_TENSOR_IS_VIRTUAL, 907)                                                           \
    X(DNN_PACK_IDS, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, 1000)                                                          \
    X(DNN_PACK_POINTERS, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, 1001)                                                  \
    X(DNN_PACK_WORKSPACE, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, 1003)                                                     \
    X(DNN_ENGINE_NOTES, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, 1303)                                                        \
    X(DNN_ENGINE_CARD, CUDNN_ATTR_ENGINE_DEVICEPROP, 1307)                                                             \
    X(DNN_CARD_TEXT, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, 2702)

enum {
#define ZM_DNN_NUMBER(name, theirs, value) name = value,
    ZM_DNN_NUMBERS(ZM_DNN_NUMBER)
#undef ZM_DNN_NUMBER
};

/* Every function: name, result, arguments.  Handles and descriptors are pointers, enums are int; a status of 0 is success. */
#define ZM_DNN_CALLS(X)                                                                                                \
    X(cudnnGetVersion, size_t, (void))                                                                                 \
    X(cudnnGetErrorString, const char *, (int status))                                                                 \
    X(cudnnCreate, int, (void **handle))                                                                               \
    X(cudnnSetStream, int, (void *handle, void *stream))                                                               \
    X(cudnnBackendCreateDescriptor, int, (int kind, void **descriptor))                                                \
    X(cudnnBackendDestroyDescriptor, int, (void *descriptor))                                                          \
    X(cudnnBackendFinalize, int, (void *descriptor))                                                                   \
    X(cudnnBackendSetAttribute, int, (void *descriptor, int name, int type, int64_t n, const void *values))            \
    X(cudnnBackendGetAttribute, int, (void *descriptor, int name, int type, int64_t most, int64_t *n, void *values))   \
    X(cudnnBackendExecute, int, (void *handle, void *plan, void *pack))

typedef struct zm_dnn_library {
#define ZM_DNN_FIELD(name, result, arguments) result(*name##_) arguments;
    ZM_DNN_CALLS(ZM_DNN_FIELD)
#undef ZM_DNN_FIELD
} zm_dnn_library;

#endif
