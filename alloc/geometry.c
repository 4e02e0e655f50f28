// geometry.c: the three page geometries and what follows from them. Constant data only.
#include "geometry.h"

#include <string.h>

const struct mf2_geometry mf2_geometries[] = {
    {.name = "default",
     .page_bytes = 65536,
     .class_count = 92,
     .block_bytes = {16,     32,    48,     64,     80,     96,     112,    128,    144,    160,
                     176,    192,   208,    224,    240,    256,    288,    320,    352,    384,
                     416,    448,   480,    512,    576,    640,    704,    768,    832,    896,
                     960,    1024,  1152,   1280,   1408,   1536,   1664,   1792,   1920,   2048,
                     2304,   2560,  2816,   3072,   3328,   3584,   3840,   4096,   4608,   5120,
                     5632,   6144,  6656,   7168,   7680,   8192,   9216,   10240,  11264,  12288,
                     13312,  14336, 15360,  16384,  18432,  20480,  22528,  24576,  26624,  28672,
                     30720,  32768, 36864,  40960,  45056,  49152,  53248,  57344,  61440,  65536,
                     81920,  98304, 114688, 131072, 163840, 196608, 229376, 262144, 327680, 393216,
                     458752, 524288},
     .span_shift = {[0 ... 47] = 0, [48 ... 71] = 2, [72 ... 83] = 4, [84 ... 91] = 5}},
    {"seed", 65536, 16, 5, {2048, 4096, 8192, 16384, 32768}, {0}},
    {"scenario", 4096, 0, 4, {512, 1024, 2048, 4096}, {0}},
};
const size_t mf2_geometry_count = sizeof(mf2_geometries) / sizeof(mf2_geometries[0]);

const struct mf2_geometry *mf2_geometry_find(const char *name) {
    for (size_t i = 0; i < mf2_geometry_count; i++)
        if (strcmp(mf2_geometries[i].name, name) == 0)
            return &mf2_geometries[i];
    return NULL;
}

uint32_t mf2_geometry_capacity(const struct mf2_geometry *geometry, uint32_t class_index) {
    uint32_t span_bytes = geometry->page_bytes << geometry->span_shift[class_index];
    return span_bytes / (geometry->block_bytes[class_index] + geometry->header_bytes);
}

// Blocks stand at i × stride of a page that is aligned to page_bytes at least.
static bool class_aligns(const struct mf2_geometry *geometry, uint32_t class_index,
                         size_t alignment) {
    uint32_t stride = geometry->block_bytes[class_index] + geometry->header_bytes;
    return alignment <= geometry->page_bytes && (stride & (alignment - 1)) == 0;
}

uint32_t mf2_geometry_class(const struct mf2_geometry *geometry, uint32_t first, size_t bytes,
                            size_t alignment) {
    for (uint32_t k = first; k < geometry->class_count; k++)
        if (geometry->block_bytes[k] >= bytes && class_aligns(geometry, k, alignment))
            return k;
    return geometry->class_count;
}
