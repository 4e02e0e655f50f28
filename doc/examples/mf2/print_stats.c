// print_stats.c: MF2 from outside the tree: a program that runs on it and asks it for its counters.
#include <mf2_stats.h>

#include <stdio.h>
#include <stdlib.h>

int main(void) {
    void *blocks[1000];
    for (int i = 0; i < 1000; i++)
        blocks[i] = malloc(100);
    char text[16384];
    if (mf2_stats_json(text, sizeof text) >= sizeof text)
        return 1;
    fputs(text, stdout);
    for (int i = 0; i < 1000; i++)
        free(blocks[i]);
    return 0;
}
