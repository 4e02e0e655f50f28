// haksim_domino.c: `haksim domino`: pages stolen from their owners, and what the owners did then,
// as a table, as timelines of the longest chains, and as JSON.
#include "haksim.h"
#include "sim_os.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define REPORT_PATH    "domino.sim.json"
#define CHAINS_DEFAULT 1
#define CHAINS_MAX     100
#define LINKS_SHOWN    12 // of one chain; what is between its first and last ones is counted

struct command {
    struct haksim_command job;
    uint64_t chains;
};

static void print_help(void) {
    puts(
        "Usage: haksim domino --workload=W [OPTIONS]\n"
        "Run MF2 in virtual time and find the seed's story in what it did: a page of A is put to\n"
        "work by C, and A takes a fresh page. All figures are modelled.\n"
        "\n"
        "  -w, -r, -t, -c, -g, -s, -p, -m, --costs, --json, --quiet   as in haksim run\n"
        "      --chains=N      longest chains shown for each route (1)\n"
        "  -o, --output=FILE   write the report there (" REPORT_PATH ")\n"
        "      --help          print this help\n"
        "\n"
        "Columns: fresh: pages formatted, new or recycled. thefts: pages put to work by another\n"
        "thread than their owner's, which was alive or had exited. links: fresh pages of a victim\n"
        "that a stolen page could have spared it; the thief was spared one by each theft. In a\n"
        "chain each link's fresh page is the next one's stolen page.");
    haksim_print_workloads(false);
    haksim_print_machines();
    puts("\nExample:\n  haksim domino --workload=adopters --geometry=seed --route=cda,p,s2");
}

// ---------------------------------------------------------------- the table

static void print_head(const struct haksim_job *job) {
    if (job->output->quiet || job->output->json)
        return;
    printf("%s, geometry %s, machine %s with %u cores, seed %" PRIu64 "; modelled\n", job->name,
           job->request.geometry->name, job->machine.name,
           job->request.cores ? job->request.cores : job->machine.cores, job->request.seed);
    printf("%-16s %8s %8s %8s %9s %9s %8s %7s %8s %8s %8s %8s\n", "route", "held", "fewest",
           "fresh", "thefts", "of exited", "links", "chains", "longest", "victims", "thieves",
           "worst");
}

static double percent(uint64_t part, uint64_t whole) {
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_rate(const char *when, uint64_t operations, struct sim_domino_rate rate) {
    printf("    %-11s %10" PRIu64 " operations: per million %.0f fresh, %.0f thefts, %.0f links\n",
           when, operations, rate.fresh, rate.thefts, rate.links);
}

// ---------------------------------------------------------------- timelines

static void print_time(uint64_t time_ns) {
    printf("      %14.6f ms  ", (double)time_ns / 1e6);
}

static void print_link(const struct sim_domino_link *link) {
    print_time(link->mapped_ns);
    printf("page %-7u (%u-byte blocks) is thread %u's\n", link->stolen_page, link->block_bytes,
           link->victim);
    if (link->remote_frees > 0) {
        print_time(link->freed_ns);
        printf("page %-7u thread %u frees a block of it; %" PRIu64
               " are freed by others before it is stolen\n",
               link->stolen_page, link->freer, link->remote_frees);
    }
    print_time(link->stolen_ns);
    printf("page %-7u thread %u puts it to work: stolen from thread %u\n", link->stolen_page,
           link->thief, link->victim);
    print_time(link->fresh_ns);
    printf("page %-7u thread %u takes a fresh page\n", link->fresh_page, link->victim);
}

static void print_chain(const struct sim_domino *domino, uint32_t end) {
    const struct sim_domino_link *links;
    sim_domino_links(domino, &links);
    uint32_t length = links[end].length;
    uint32_t *order = malloc(length * sizeof *order);
    if (!order)
        return;
    for (uint32_t i = length, link = end; i-- > 0; link = links[link].parent)
        order[i] = link;
    printf("    chain of %u links: %u fresh pages, %" PRIu64 " KiB, thread %u\n", length, length,
           (uint64_t)length * links[end].page_bytes / 1024, links[end].victim);
    for (uint32_t i = 0; i < length; i++) {
        bool hidden = length > LINKS_SHOWN && i >= LINKS_SHOWN / 2 && i < length - LINKS_SHOWN / 2;
        if (!hidden)
            print_link(&links[order[i]]);
        else if (i == LINKS_SHOWN / 2)
            printf("      ... %u links more ...\n", length - LINKS_SHOWN);
    }
    free(order);
}

static void print_chains(const struct sim_domino *domino, size_t chains) {
    uint32_t ends[CHAINS_MAX];
    size_t found = sim_domino_longest(domino, ends, chains);
    for (size_t i = 0; i < found; i++)
        print_chain(domino, ends[i]);
}

static void show(const struct haksim_job *job, size_t i) {
    if (job->output->quiet || job->output->json)
        return;
    const struct sim_outcome *outcome = &job->outcomes[i];
    struct sim_domino_totals t;
    sim_domino_totals(outcome->domino, &t);
    uint64_t fresh = t.fresh;
    printf("%-16s %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %9" PRIu64 " %9" PRIu64 " %8" PRIu64
           " %7" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 " %8" PRIu64 "%s\n",
           job->request.route_text, outcome->measures.held_max, outcome->measures.fewest_max, fresh,
           t.thefts_running + t.thefts_exited, t.thefts_exited, t.links, t.chains, t.longest,
           t.victims, t.thieves, t.links_of_worst,
           outcome->measures.interrupted ? " interrupted" : "");
    printf("    at most %.1f %% of the fresh pages answer a theft; %" PRIu64
           " thefts spared a thief one\n",
           percent(t.links, fresh), t.thefts_running + t.thefts_exited);
    print_rate("transient", t.transient_operations, t.transient);
    print_rate("steady", t.operations - t.transient_operations, t.steady);
    print_chains(outcome->domino, job->chains);
    fflush(stdout);
}

// ---------------------------------------------------------------- the report

static void set_number(json_t *object, const char *key, uint64_t value) {
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *rate_json(uint64_t operations, struct sim_domino_rate rate) {
    json_t *object = json_object();
    set_number(object, "operations", operations);
    json_object_set_new(object, "fresh_per_million", json_real(rate.fresh));
    json_object_set_new(object, "thefts_per_million", json_real(rate.thefts));
    json_object_set_new(object, "links_per_million", json_real(rate.links));
    return object;
}

static json_t *link_json(const struct sim_domino_link *link) {
    json_t *object = json_object();
    set_number(object, "stolen_page", link->stolen_page);
    set_number(object, "fresh_page", link->fresh_page);
    set_number(object, "block_bytes", link->block_bytes);
    set_number(object, "page_bytes", link->page_bytes);
    set_number(object, "victim", link->victim);
    set_number(object, "thief", link->thief);
    set_number(object, "remote_frees", link->remote_frees);
    if (link->remote_frees > 0) {
        set_number(object, "freer", link->freer);
        set_number(object, "freed_ns", link->freed_ns);
    }
    set_number(object, "mapped_ns", link->mapped_ns);
    set_number(object, "stolen_ns", link->stolen_ns);
    set_number(object, "fresh_ns", link->fresh_ns);
    return object;
}

static json_t *chain_json(const struct sim_domino_link *links, uint32_t end) {
    json_t *chain = json_object(), *list = json_array();
    for (uint32_t link = end; link != SIM_DOMINO_NO_LINK; link = links[link].parent)
        json_array_insert_new(list, 0, link_json(&links[link]));
    set_number(chain, "length", links[end].length);
    set_number(chain, "pages", links[end].length);
    set_number(chain, "bytes", (uint64_t)links[end].length * links[end].page_bytes);
    json_object_set_new(chain, "links", list);
    return chain;
}

static json_t *chains_json(const struct haksim_job *job, const struct sim_domino *domino) {
    const struct sim_domino_link *links;
    uint32_t ends[CHAINS_MAX];
    size_t found = sim_domino_longest(domino, ends, job->chains);
    json_t *chains = json_array();
    sim_domino_links(domino, &links);
    for (size_t i = 0; i < found; i++)
        json_array_append_new(chains, chain_json(links, ends[i]));
    return chains;
}

static json_t *threads_json(const struct sim_domino *domino) {
    const struct sim_domino_thread *list;
    size_t count = sim_domino_threads(domino, &list);
    json_t *threads = json_array();
    for (size_t i = 0; i < count; i++) {
        if (list[i].fresh + list[i].thefts_by_it + list[i].thefts_from_it == 0)
            continue;
        json_t *thread = json_object();
        set_number(thread, "id", i);
        set_number(thread, "fresh", list[i].fresh);
        set_number(thread, "thefts_by_it", list[i].thefts_by_it);
        set_number(thread, "thefts_from_it", list[i].thefts_from_it);
        set_number(thread, "links", list[i].links);
        json_array_append_new(threads, thread);
    }
    return threads;
}

static json_t *route_json(const struct haksim_job *job, size_t i) {
    const struct sim_outcome *outcome = &job->outcomes[i];
    struct sim_domino_totals t;
    sim_domino_totals(outcome->domino, &t);
    json_t *route = json_object();
    json_object_set_new(route, "route", json_string(job->routes.list[i].text));
    set_number(route, "held_max", outcome->measures.held_max);
    set_number(route, "fewest_max", outcome->measures.fewest_max);
    set_number(route, "new_pages", t.new_pages);
    set_number(route, "recycled_pages", t.recycled_pages);
    set_number(route, "fresh", t.fresh);
    set_number(route, "thefts_running", t.thefts_running);
    set_number(route, "thefts_exited", t.thefts_exited);
    set_number(route, "links", t.links);
    set_number(route, "chains", t.chains);
    set_number(route, "longest", t.longest);
    set_number(route, "victims", t.victims);
    set_number(route, "thieves", t.thieves);
    set_number(route, "links_of_worst", t.links_of_worst);
    set_number(route, "operations", t.operations);
    json_object_set_new(route, "transient", rate_json(t.transient_operations, t.transient));
    json_object_set_new(route, "steady",
                        rate_json(t.operations - t.transient_operations, t.steady));
    json_object_set_new(route, "longest_chains", chains_json(job, outcome->domino));
    json_object_set_new(route, "threads", threads_json(outcome->domino));
    json_object_set_new(route, "interrupted", json_boolean(outcome->measures.interrupted));
    return route;
}

static json_t *report_json(const struct haksim_job *job, const struct command *command) {
    json_t *report = haksim_report_begin("hak.domino", &job->machine, job->request.cores);
    json_t *routes = json_array();
    json_object_set_new(report, "workload", json_string(command->job.workload));
    set_number(report, "threads", job->request.settings.threads);
    set_number(report, "seed", job->request.seed);
    json_object_set_new(report, "geometry", json_string(job->request.geometry->name));
    json_object_set_new(report, "steady_state_method", json_string("MSER-5"));
    for (size_t i = 0; i < job->done; i++)
        json_array_append_new(routes, route_json(job, i));
    json_object_set_new(report, "routes", routes);
    return report;
}

// ---------------------------------------------------------------- the command

static int do_job(struct haksim_job *job, const struct command *command) {
    job->request.domino = job->request.brief = true;
    print_head(job);
    int status = haksim_job_run(job, show);
    if (status == HAKSIM_USAGE)
        return status;
    int written = haksim_report_write(report_json(job, command), job->output, REPORT_PATH);
    if (written != HAKSIM_OK)
        return written;
    return status == HAKSIM_OK && sim_os_interrupted ? HAKSIM_STOPPED : status;
}

int haksim_domino_command(int argc, char **argv) {
    struct command command = {.job = HAKSIM_COMMAND_DEFAULTS, .chains = CHAINS_DEFAULT};
    const struct haksim_option options[] = {
        HAKSIM_JOB_OPTIONS(&command.job),
        {"chains", 0, HAKSIM_NUMBER, &command.chains, 0, CHAINS_MAX, NULL},
    };
    int status =
        haksim_take_options("domino", argc, argv, options, sizeof options / sizeof options[0]);
    if (status != HAKSIM_OK)
        return status;
    if (command.job.help) {
        print_help();
        return HAKSIM_OK;
    }
    if (!command.job.workload)
        return haksim_fail("domino: expected --workload (see haksim domino --help)");
    struct haksim_job job;
    sim_os_catch_interrupts();
    status = haksim_job_open(&command.job, &job);
    job.output = &command.job.output;
    job.chains = command.chains;
    if (status == HAKSIM_OK)
        status = do_job(&job, &command);
    haksim_job_close(&job);
    return status;
}
