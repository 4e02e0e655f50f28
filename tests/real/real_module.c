// real_module.c: the library of real_library: allocates when it is loaded, asked, and unloaded.
#include <stdlib.h>
#include <string.h>

void *module_allocate(size_t bytes);

static char *kept;
static __thread char *of_thread; // dynamic TLS: the C library allocates it at the first touch

__attribute__((constructor)) static void load(void) {
    kept = malloc(70000);
    memset(kept, 1, 70000);
}

__attribute__((destructor)) static void unload(void) {
    free(kept);
    free(malloc(100));
}

__attribute__((visibility("default"))) void *module_allocate(size_t bytes) {
    of_thread = malloc(10);
    free(of_thread);
    return malloc(bytes);
}
