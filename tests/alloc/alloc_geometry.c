// Page geometry is data, and the seed's is the seed's.
#include "mf2.h"
#include "state.h"

#include "check_main.h"

#include <check.h>
#include <stdlib.h>

START_TEST(seed_holds_31_15_7_3_1) {
    const struct mf2_geometry *seed = mf2_geometry_find("seed");
    static const uint32_t capacity[] = {31, 15, 7, 3, 1};
    ck_assert_uint_eq(seed->class_count, 5);
    for (uint32_t k = 0; k < 5; k++)
        ck_assert_uint_eq(mf2_geometry_capacity(seed, k), capacity[k]);
}
END_TEST

START_TEST(classes_ascend_and_fit) {
    for (size_t g = 0; g < mf2_geometry_count; g++) {
        const struct mf2_geometry *geometry = &mf2_geometries[g];
        ck_assert_uint_le(geometry->class_count, MF2_CLASS_MAX);
        uint32_t before = 0;
        for (uint32_t k = 0; k < geometry->class_count; k++) {
            uint32_t block = geometry->block_bytes[k];
            ck_assert_uint_gt(block, before);
            ck_assert_uint_eq(block % MF2_UNIT_BYTES, 0);
            ck_assert_uint_ge(mf2_geometry_capacity(geometry, k), 1);
            before = block;
        }
    }
}
END_TEST

START_TEST(every_size_gets_the_smallest_class_that_holds_it) {
    for (size_t g = 0; g < mf2_geometry_count; g++) {
        const struct mf2_geometry *geometry = &mf2_geometries[g];
        uint32_t largest = geometry->block_bytes[geometry->class_count - 1];
        for (uint32_t bytes = 0; bytes <= largest; bytes++) {
            uint32_t k = mf2_geometry_class(geometry, 0, bytes, 1);
            ck_assert_uint_ge(geometry->block_bytes[k], bytes);
            ck_assert(k == 0 || geometry->block_bytes[k - 1] < bytes);
        }
        ck_assert_uint_eq(mf2_geometry_class(geometry, 0, largest + 1, 1), geometry->class_count);
    }
}
END_TEST

START_TEST(an_aligned_class_aligns_every_block) {
    const struct mf2_geometry *geometry = mf2_geometry_find("default");
    for (size_t alignment = 32; alignment <= 32768; alignment *= 2)
        for (size_t bytes = 1; bytes <= 32768; bytes += 97) {
            uint32_t k = mf2_geometry_class(geometry, 0, bytes, alignment);
            ck_assert_uint_lt(k, geometry->class_count);
            ck_assert_uint_eq(geometry->block_bytes[k] % alignment, 0);
        }
}
END_TEST

CHECK_MAIN("alloc_geometry", seed_holds_31_15_7_3_1, classes_ascend_and_fit,
           every_size_gets_the_smallest_class_that_holds_it, an_aligned_class_aligns_every_block)
