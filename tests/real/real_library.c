// real_library.c: libraries that come and go: dlopen and dlclose of one whose constructor and
// destructor allocate, from several threads; blocks outlive the library that allocated them.
//
//   real_library MODULE
#include "real_test.h"

#include <pthread.h>

static const char *module_path;

static void *open_and_close(void *argument) {
    (void)argument;
    for (int i = 0; i < 100; i++) {
        void *library = dlopen(module_path, RTLD_NOW | RTLD_LOCAL);
        FACT(library != NULL);
        if (!library)
            return NULL;
        void *(*give)(size_t) = NULL;
        *(void **)&give = dlsym(library, "module_allocate");
        char *block = give(1000);
        fill(block, 1000, 2);
        dlclose(library);
        FACT(is_filled(block, 1000, 2));
        free(block);
    }
    return NULL;
}

int main(int argc, char **argv) {
    require_library();
    if (argc != 2)
        return 2;
    module_path = argv[1];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, open_and_close, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    return failures != 0;
}
