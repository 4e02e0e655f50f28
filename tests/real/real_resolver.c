// real_resolver.c: a resolver of a GNU indirect function allocates: while the program is relocated,
// before thread-local variables have their first values and before anything of the C library ran.
#include "real_test.h"

#include <malloc.h>

static unsigned char *small, *large;

static int answer(void) {
    return 42;
}

__attribute__((used)) static int (*resolve(void))(void) {
    small = malloc(100);
    large = malloc(100000);
    free(malloc(50));
    return answer;
}
int resolved(void) __attribute__((ifunc("resolve")));

int main(void) {
    require_library();
    FACT(resolved() == 42);
    FACT(small && large);
    fill(small, 100, 1);
    fill(large, 100000, 2);
    FACT(is_filled(small, 100, 1) && malloc_usable_size(small) >= 100);
    void *more[100];
    for (size_t i = 0; i < 100; i++) {
        more[i] = malloc(100);
        fill(more[i], 100, 3);
    }
    FACT(is_filled(small, 100, 1) && is_filled(large, 100000, 2));
    free(small);
    free(large);
    for (size_t i = 0; i < 100; i++)
        free(more[i]);
    return failures != 0;
}
