// oracle.c placeholder
#include "world_internal.h"
bool world_oracle_create(struct world *world, char *message, size_t message_size){(void)world;(void)message;(void)message_size;return true;}
void world_oracle_destroy(struct world *world){(void)world;}
void world_oracle_reset(struct world *world){(void)world;}
void world_oracle_arrival(struct world *world, struct fiber *fiber){(void)world;(void)fiber;}
void world_oracle_access(struct world *world, struct fiber *fiber){(void)world;(void)fiber;}

static const char *const oracle_names[WORLD_ORACLE_COUNT] = {
    [WORLD_ORACLE_NONE] = "none",
    [WORLD_ORACLE_BLOCK_STAMP] = "block-stamp",
    [WORLD_ORACLE_CONSERVATION] = "conservation",
    [WORLD_ORACLE_ONE_OWNER] = "one-owner",
    [WORLD_ORACLE_ONE_LIST] = "one-list",
    [WORLD_ORACLE_STRANDED_FREE] = "stranded-free",
    [WORLD_ORACLE_GATE_OWN] = "gate-own",
    [WORLD_ORACLE_GATE_ADOPTION] = "gate-adoption",
    [WORLD_ORACLE_LOST_WAKE] = "lost-wake",
    [WORLD_ORACLE_LIVELOCK] = "livelock",
    [WORLD_ORACLE_PAGE_BOUND] = "page-bound",
    [WORLD_ORACLE_ABORT] = "abort",
};

const char *world_oracle_name(enum world_oracle oracle) {
    return oracle < WORLD_ORACLE_COUNT ? oracle_names[oracle] : "unknown";
}

bool world_check_quiescent(struct world *world){(void)world;return true;}
bool world_check_blocks(struct world *world, void *const *blocks, size_t count){(void)world;(void)blocks;(void)count;return true;}
