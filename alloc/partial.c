// partial.c: the owner's list of pages with free blocks, newest first; a page number chain through
// list_next and list_prev. Only the owner touches it; others read partial_count as a hint.
#include "internal.h"

static void count_by(struct mf2_bin *bin, uint32_t by) {
    uint32_t count = mf2_load_relaxed(&bin->partial_count);
    mf2_store_relaxed(&bin->partial_count, count + by);
}

void mf2_partial_push(struct mf2_state *state, struct MF2_ThreadPages *self, struct MidPage *page) {
    struct mf2_bin *bin = &self->bins[page->class_index];
    page->state = MF2_PAGE_PARTIAL;
    page->list_prev = 0;
    page->list_next = bin->partial_head;
    if (bin->partial_head)
        state->pages[bin->partial_head].list_prev = mf2_page_number(state, page);
    bin->partial_head = mf2_page_number(state, page);
    count_by(bin, 1);
}

void mf2_partial_remove(struct mf2_state *state, struct MF2_ThreadPages *self,
                        struct MidPage *page) {
    struct mf2_bin *bin = &self->bins[page->class_index];
    if (page->list_prev)
        state->pages[page->list_prev].list_next = page->list_next;
    else
        bin->partial_head = page->list_next;
    if (page->list_next)
        state->pages[page->list_next].list_prev = page->list_prev;
    page->list_next = 0;
    page->list_prev = 0;
    count_by(bin, UINT32_MAX);
}

struct MidPage *mf2_partial_pop(struct mf2_state *state, struct MF2_ThreadPages *self,
                                uint32_t class_index) {
    uint32_t number = self->bins[class_index].partial_head;
    if (number == 0)
        return NULL;
    struct MidPage *page = &state->pages[number];
    mf2_partial_remove(state, self, page);
    return page;
}
