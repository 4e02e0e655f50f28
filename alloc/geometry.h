// geometry.h: page geometry as data: page size, header bytes, classes.
//
// Words: a *class* is a block size; *stride* is the distance of two blocks of a page, block bytes
// plus header bytes; *capacity* is how many blocks a page holds. A *unit* is 16 bytes: the place of
// a block in its page is counted in units.
//
//   seed:      64 KiB pages, a 16-byte header a block, 2/4/8/16/32 KiB: 31/15/7/3/1 blocks
//   default:   64 KiB pages, no header; multiples of 16 to 128, then eight steps a doubling, the
//              last ones fitted to the page (65,536 ÷ n, rounded down to 16)
//   scenario:  small pages for exploration: 4 KiB, four classes, few blocks
#ifndef MF2_GEOMETRY_H
#define MF2_GEOMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MF2_CLASS_MAX  96
#define MF2_UNIT_BYTES 16
#define MF2_UNIT_NONE  0xFFFFu

struct mf2_geometry {
    const char *name;
    uint32_t page_bytes;   // a power of two, at most 64 KiB
    uint32_t header_bytes; // before each block, a multiple of 16
    uint32_t class_count;
    uint32_t block_bytes[MF2_CLASS_MAX]; // ascending, multiples of 16
};

extern const struct mf2_geometry mf2_geometries[];
extern const size_t mf2_geometry_count;
// NULL if there is none of that name.
const struct mf2_geometry *mf2_geometry_find(const char *name);

uint32_t mf2_geometry_capacity(const struct mf2_geometry *geometry, uint32_t class_index);
// The smallest class that holds `bytes` at `alignment`, or class_count if none does.
uint32_t mf2_geometry_class(const struct mf2_geometry *geometry, size_t bytes, size_t alignment);

#endif
