// comparison.c: the table that hakreplay prints: one row a route, so that policies stand side by
// side. Every figure is in the result too; doc/results.md says what each means.
#include "replayer.h"

#include <stdio.h>
#include <string.h>

static void print_ratio(int width, int digits, double numerator, double denominator) {
    if (denominator == 0)
        printf(" %*s", width, "-");
    else
        printf(" %*.*f", width, digits, numerator / denominator);
}

static void print_row(const struct replay_comparison_row *row, int route_width) {
    const struct program_measures *m = &row->measures;
    printf("%-*s %9llu %9llu", route_width, row->route, (unsigned long long)m->held_max,
           (unsigned long long)m->fewest_max);
    print_ratio(7, 2, (double)m->held_max, (double)m->fewest_max);
    printf(" %9llu %9llu %9llu", (unsigned long long)m->new_pages,
           (unsigned long long)m->recycled_pages, (unsigned long long)m->page_reuses);
    print_ratio(10, 3, (double)m->page_reuses, (double)m->new_pages);
    print_ratio(11, 3, (double)m->page_reuses, (double)(m->page_reuses + m->new_pages));
    printf(" %9llu %9llu  %016llx%s%s\n", (unsigned long long)m->stranded_max,
           (unsigned long long)m->owner_changes, (unsigned long long)row->digest,
           m->interrupted ? " interrupted" : "", m->violations > 0 ? " VIOLATION" : "");
}

void replay_comparison_print(const struct replay_comparison_row *rows, size_t count) {
    int route_width = 5;
    for (size_t i = 0; i < count; i++)
        if ((int)strlen(rows[i].route) > route_width)
            route_width = (int)strlen(rows[i].route);
    printf("%-*s %9s %9s %7s %9s %9s %9s %10s %11s %9s %9s  %s\n", route_width, "route", "held max",
           "fewest", "ratio", "new", "recycled", "reused", "reuse/new", "reuse share", "stranded",
           "owner chg", "digest");
    for (size_t i = 0; i < count; i++)
        print_row(&rows[i], route_width);
}
