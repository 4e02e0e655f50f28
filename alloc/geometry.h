// geometry.h: page geometry as data: page size, header bytes, classes.
//
// Words: a *class* is a block size; *stride* is the distance of two blocks of a page, block bytes
// plus header bytes; *capacity* is how many blocks a page holds. A *span* is how many pages of
// page_bytes a page of that class is made of, a power of two: big blocks need big pages, or the
// rest that no block fits in grows. A *unit* is 16 bytes times the span: the place of a block in
// its page is counted in units, of which every page has page_bytes ÷ 16.
//
//   seed:      64 KiB pages, a 16-byte header a block, 2/4/8/16/32 KiB: 31/15/7/3/1 blocks
//   default:   no header; multiples of 16 to 128, then eight steps a doubling to 64 KiB, four to
//              512 KiB; pages of 64 KiB to blocks of 4 KiB, of 256 KiB to 32 KiB, of 1 MiB to
//              128 KiB, of 2 MiB beyond
//   scenario:  small pages for exploration: 4 KiB, four classes, few blocks
//
// The seed does not say what its headers hold. Nothing is kept in them here: they stand behind
// their block and only take room.
#ifndef MF2_GEOMETRY_H
#define MF2_GEOMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MF2_CLASS_MAX  96
#define MF2_UNIT_SHIFT 4
#define MF2_UNIT_BYTES (1 << MF2_UNIT_SHIFT)
#define MF2_UNIT_NONE  0xFFFFu

struct mf2_geometry {
    const char *name;
    uint32_t page_bytes;   // a power of two, at most 64 KiB
    uint32_t header_bytes; // behind each block, a multiple of 16
    uint32_t class_count;
    uint32_t block_bytes[MF2_CLASS_MAX]; // ascending, multiples of 16 << span_shift
    uint8_t span_shift[MF2_CLASS_MAX];   // log2 of the pages in a span
};

extern const struct mf2_geometry mf2_geometries[];
extern const size_t mf2_geometry_count;
// NULL if there is none of that name.
const struct mf2_geometry *mf2_geometry_find(const char *name);

// Blocks of a page of this class.
uint32_t mf2_geometry_capacity(const struct mf2_geometry *geometry, uint32_t class_index);
// The smallest class from `first` on that holds `bytes` at `alignment`, a power of two, or
// class_count if none does.
uint32_t mf2_geometry_class(const struct mf2_geometry *geometry, uint32_t first, size_t bytes,
                            size_t alignment);

#endif
