// module.c: a loaded module that allocates.
#include <stdlib.h>

void *module_allocate(size_t size);

__attribute__((visibility("default"))) void *module_allocate(size_t size) {
    void *volatile block = malloc(size); // volatile: not a tail call, so the frame stays
    return block;
}
