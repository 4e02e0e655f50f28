// geometry.c: the three page geometries and what follows from them. Constant data only.
#include "geometry.h"

#include <string.h>

const struct mf2_geometry mf2_geometries[] = {
    {"default",
     65536,
     0,
     62,
     {16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352, 384,
      416, 448, 480, 512, 576, 640, 704, 768, 832, 896, 960, 1024, 1152, 1280, 1408, 1536, 1664,
      1792, 1920, 2048, 2304, 2560, 2816, 3072, 3328, 3584, 3840, 4096,
      // 65,536 / n rounded down to a unit, n = 15 .. 2
      4368, 4672, 5040, 5456, 5952, 6544, 7280, 8192, 9360, 10912, 13104, 16384, 21840, 32768}},
    {"seed", 65536, 16, 5, {2048, 4096, 8192, 16384, 32768}},
    {"scenario", 4096, 0, 4, {512, 1024, 2048, 4096}},
};
const size_t mf2_geometry_count = sizeof(mf2_geometries) / sizeof(mf2_geometries[0]);

const struct mf2_geometry *mf2_geometry_find(const char *name) {
    for (size_t i = 0; i < mf2_geometry_count; i++)
        if (strcmp(mf2_geometries[i].name, name) == 0)
            return &mf2_geometries[i];
    return NULL;
}

uint32_t mf2_geometry_capacity(const struct mf2_geometry *geometry, uint32_t class_index) {
    return geometry->page_bytes / (geometry->block_bytes[class_index] + geometry->header_bytes);
}

// Blocks start at header + i × stride of a page aligned to its size.
static bool class_aligns(const struct mf2_geometry *geometry, uint32_t class_index,
                         size_t alignment) {
    if (alignment <= MF2_UNIT_BYTES)
        return true;
    return geometry->header_bytes == 0 && geometry->block_bytes[class_index] % alignment == 0;
}

uint32_t mf2_geometry_class(const struct mf2_geometry *geometry, size_t bytes, size_t alignment) {
    for (uint32_t k = 0; k < geometry->class_count; k++)
        if (geometry->block_bytes[k] >= bytes && class_aligns(geometry, k, alignment))
            return k;
    return geometry->class_count;
}
