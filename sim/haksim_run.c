// haksim_run.c: `haksim run`: its options, and one run after the other.
#include "haksim.h"
#include "sim_os.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS_MAX     4096
#define THREADS_DEFAULT 4
#define SEED_DEFAULT    12345 // Larson's, as the seed document ran it
#define ALL_THREADS_MAX (1u << 20)

static const struct option long_options[] = {
    {"workload", required_argument, NULL, 'w'}, {"route", required_argument, NULL, 'r'},
    {"threads", required_argument, NULL, 't'},  {"cores", required_argument, NULL, 'c'},
    {"geometry", required_argument, NULL, 'g'}, {"seed", required_argument, NULL, 's'},
    {"machine", required_argument, NULL, 'm'},  {"output", required_argument, NULL, 'o'},
    {"json", no_argument, NULL, 'j'},           {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, 'h'},           {0},
};

// The command line, checked as far as one option by itself can be.
struct command {
    const char *workload, *route, *geometry, *machine;
    uint64_t threads; // 0: not given
    uint64_t cores;
    uint64_t seed;
    bool help;
    struct haksim_output output;
};

// All that the runs need, in the order of making.
struct job {
    struct sim_machine machine;
    struct program_routes routes;
    struct sim_request request;
    struct sim_outcome *outcomes;
    size_t done;
    char name[256]; // of the workload, for file names
    char message[512];
};

// ---------------------------------------------------------------- help

static void print_workloads(void) {
    puts("\nWorkloads and their parameters:");
    for (size_t i = 0; workload_at(i); i++) {
        const struct workload *workload = workload_at(i);
        printf("  %-12s %s\n", workload->name, workload->meaning);
        for (size_t p = 0; p < workload->parameter_count; p++)
            printf("    %-11s %s (%llu)\n", workload->parameters[p].name,
                   workload->parameters[p].meaning,
                   (unsigned long long)workload->parameters[p].value);
    }
    puts("  trace:FILE   a recorded program, its threads interleaved by virtual time");
}

static void print_machines(void) {
    fputs("\nMachines:", stdout);
    for (size_t i = 0; sim_machine_name(i); i++)
        printf(" %s", sim_machine_name(i));
    puts(" (or a file, see haksim(1))");
}

void haksim_print_run_help(void) {
    puts("Usage: haksim run --workload=W [OPTIONS]\n"
         "Run MF2 in virtual time on a simulated machine.\n"
         "\n"
         "  -w, --workload=W    a workload of those below; parameters follow: larson,rounds=10\n"
         "  -r, --route=R[,R]   routes, each a preset with its overrides, or all (best)\n"
         "  -t, --threads=N     of the workload: what it calls N below (4)\n"
         "  -c, --cores=N       cores of the machine (the machine's own number)\n"
         "  -g, --geometry=G    default, seed or scenario (default)\n"
         "  -s, --seed=N        seed of the workload (12345)\n"
         "  -m, --machine=M     a machine's name or file (" SIM_MACHINE_DEFAULT ")\n"
         "  -o, --output=FILE   write one file (WORKLOAD.ROUTE.sim.json for each route)\n"
         "      --json          print the results as JSON instead of the table\n"
         "      --quiet         print nothing but errors\n"
         "      --help          print this help");
    print_workloads();
    print_machines();
    puts("\nExample:\n"
         "  haksim run --workload=larson,rounds=1 --geometry=seed --route=cda,s2,best\n"
         "\nExit status: 0 fine; 1 a check of the allocator failed; 2 usage or bad input;\n"
         "130 interrupted, results so far are written.");
}

// ---------------------------------------------------------------- options

static int take_option(int letter, struct command *command) {
    switch (letter) {
    case 'w':
        command->workload = optarg;
        return HAKSIM_OK;
    case 'r':
        command->route = optarg;
        return HAKSIM_OK;
    case 'g':
        command->geometry = optarg;
        return HAKSIM_OK;
    case 'm':
        command->machine = optarg;
        return HAKSIM_OK;
    case 'o':
        command->output.path = optarg;
        return HAKSIM_OK;
    case 't':
        return haksim_take_number("threads", 1, THREADS_MAX, &command->threads);
    case 'c':
        return haksim_take_number("cores", 1, SIM_CORE_LIMIT, &command->cores);
    case 's':
        return haksim_take_number("seed", 0, INT64_MAX, &command->seed);
    case 'j':
        command->output.json = true;
        return HAKSIM_OK;
    case 'q':
        command->output.quiet = true;
        return HAKSIM_OK;
    case 'h':
        command->help = true;
        return HAKSIM_OK;
    default:
        return HAKSIM_USAGE; // getopt has said what is wrong
    }
}

static int take_options(int argc, char **argv, struct command *command) {
    int letter;
    while ((letter = getopt_long(argc, argv, "w:r:t:c:g:s:m:o:", long_options, NULL)) != -1) {
        int status = take_option(letter, command);
        if (status != HAKSIM_OK || command->help)
            return status;
    }
    if (optind < argc)
        return haksim_fail("run: unexpected argument '%s'", argv[optind]);
    if (!command->workload)
        return haksim_fail("run: expected --workload (see haksim run --help)");
    return HAKSIM_OK;
}

// ---------------------------------------------------------------- making the job

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int open_trace(const struct command *command, struct job *job) {
    const char *path = command->workload + strlen("trace:");
    if (command->threads)
        return haksim_fail("--threads: a trace has its own threads");
    job->request.source = program_open_trace(path, false, job->message, sizeof job->message);
    if (!job->request.source)
        return haksim_fail("%s", job->message);
    const char *base = base_name(path);
    size_t length = strlen(base);
    if (length > 4 && strcmp(base + length - 4, ".zst") == 0)
        length -= 4;
    snprintf(job->name, sizeof job->name, "%.*s", (int)length, base);
    return HAKSIM_OK;
}

static int open_workload(const struct command *command, struct job *job) {
    if (strncmp(command->workload, "trace:", strlen("trace:")) == 0)
        return open_trace(command, job);
    job->request.settings.threads =
        (uint32_t)(command->threads ? command->threads : THREADS_DEFAULT);
    job->request.settings.seed = command->seed;
    job->request.workload = workload_parse(command->workload, &job->request.settings, job->message,
                                           sizeof job->message);
    if (!job->request.workload)
        return haksim_fail("%s", job->message);
    if (job->request.workload->threads(&job->request.settings) > ALL_THREADS_MAX)
        return haksim_fail("workload %s: more than %u threads in all", job->request.workload->name,
                           ALL_THREADS_MAX);
    snprintf(job->name, sizeof job->name, "%s", job->request.workload->name);
    return HAKSIM_OK;
}

static int make_job(const struct command *command, struct job *job) {
    job->request = (struct sim_request){
        .machine = &job->machine,
        .cores = (uint32_t)command->cores,
        .geometry = mf2_geometry_find(command->geometry),
        .seed = command->seed,
        .stop = &sim_os_interrupted,
    };
    if (!job->request.geometry)
        return haksim_fail("--geometry: expected default, seed or scenario, found '%s'",
                           command->geometry);
    if (sim_machine_load(command->machine, &job->machine, job->message, sizeof job->message))
        return haksim_fail("%s", job->message);
    if (!program_routes_parse(command->route, &job->routes, job->message, sizeof job->message))
        return haksim_fail("%s%s", job->routes.refused ? "" : "--route: ", job->message);
    job->outcomes = calloc(job->routes.count, sizeof *job->outcomes);
    if (!job->outcomes)
        return haksim_fail("out of memory");
    return open_workload(command, job);
}

static void free_job(struct job *job) {
    for (size_t i = 0; i < job->done; i++)
        sim_outcome_free(&job->outcomes[i]);
    free(job->outcomes);
    program_routes_free(&job->routes);
    if (job->request.source)
        program_close(job->request.source);
}

// ---------------------------------------------------------------- running it

static int run_route(struct job *job, const struct haksim_output *output, size_t i) {
    job->request.route = job->routes.list[i].route;
    job->request.route_text = job->routes.list[i].text;
    struct sim_outcome *outcome = &job->outcomes[i];
    if (sim_run(&job->request, outcome, job->message, sizeof job->message))
        return haksim_fail("%s: %s", job->name, job->message);
    job->done++;
    haksim_print_run(output, &job->request, outcome);
    if (!outcome->violation[0])
        return HAKSIM_OK;
    haksim_fail("route %s: %s", job->request.route_text, outcome->violation);
    return HAKSIM_VIOLATION;
}

// The worst that happened: a usage error ends at once, a violation does not. An interrupt ends the
// run that it finds; the first one is begun in any case, so that there is a result.
static int run_routes(struct job *job, const struct haksim_output *output) {
    int worst = HAKSIM_OK;
    haksim_print_head(output, &job->request);
    for (size_t i = 0; i < job->routes.count && (i == 0 || !sim_os_interrupted); i++) {
        int status = run_route(job, output, i);
        if (status == HAKSIM_USAGE)
            return status;
        worst = status > worst ? status : worst;
    }
    return worst;
}

static int do_job(struct job *job, const struct haksim_output *output) {
    int status = run_routes(job, output);
    if (status == HAKSIM_USAGE)
        return status;
    if (haksim_write(output, &job->routes, job->request.source, job->outcomes, job->done,
                     job->message, sizeof job->message))
        return haksim_fail("%s", job->message);
    return status == HAKSIM_OK && sim_os_interrupted ? HAKSIM_STOPPED : status;
}

int haksim_run_command(int argc, char **argv) {
    struct command command = {
        .route = MF2_ROUTE_DEFAULT,
        .geometry = "default",
        .machine = SIM_MACHINE_DEFAULT,
        .seed = SEED_DEFAULT,
    };
    int status = take_options(argc, argv, &command);
    if (status != HAKSIM_OK)
        return status;
    if (command.help) {
        haksim_print_run_help();
        return HAKSIM_OK;
    }
    struct job job = {0};
    sim_os_catch_interrupts();
    status = make_job(&command, &job);
    command.output.workload = job.name;
    if (status == HAKSIM_OK)
        status = do_job(&job, &command.output);
    free_job(&job);
    return status;
}
