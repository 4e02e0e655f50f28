// haksim_run.c: `haksim run`: its options, and one run after the other.
#include "haksim.h"
#include "sim_os.h"

#include <stdio.h>

// ---------------------------------------------------------------- help

void haksim_print_workloads(bool parameters) {
    puts(parameters ? "workloads and their parameters (default):"
                    : "\nWorkloads (haksim run --list-workloads has their parameters):");
    for (size_t i = 0; workload_at(i); i++) {
        const struct workload *workload = workload_at(i);
        printf("  %-12s %s\n", workload->name, workload->meaning);
        if (!parameters)
            continue;
        for (size_t p = 0; p < workload->parameter_count; p++)
            printf("    %-11s %s (%llu)\n", workload->parameters[p].name,
                   workload->parameters[p].meaning,
                   (unsigned long long)workload->parameters[p].value);
    }
    puts("  trace:FILE   a recorded program, its threads interleaved by virtual time");
}

void haksim_print_machines(void) {
    fputs("\nMachines:", stdout);
    for (size_t i = 0; sim_machine_name(i); i++)
        printf(" %s", sim_machine_name(i));
    puts(" (or a file, see haksim(1))");
}

static void print_help(void) {
    puts(
        "Usage: haksim run --workload=W [OPTIONS]\n"
        "Run MF2 in virtual time on a simulated machine.\n"
        "\n"
        "  -w, --workload=W    a workload of those below; parameters follow: larson,rounds=10\n"
        "  -r, --route=R[,R]   routes, each a preset with its overrides, or all (best)\n"
        "  -t, --threads=N     of the workload: what it calls N below (4)\n"
        "  -c, --cores=N       cores of the machine (the machine's own number)\n"
        "  -g, --geometry=G    default, seed or scenario (default)\n"
        "  -s, --seed=N        seed of the workload (12345)\n"
        "  -p, --pace=NS       the program's own time between two operations (the machine's)\n"
        "  -m, --machine=M     a machine's name or file (" SIM_MACHINE_DEFAULT ")\n"
        "      --costs=P       costs in per cent of the table's, but the program's own (100)\n"
        "      --scale=N       a trace N times side by side, each with its own threads and blocks\n"
        "      --pinned        thread i stays on core i, counted around; each core is shared "
        "fairly\n"
        "  -o, --output=FILE   write one file (WORKLOAD.ROUTE.sim.json for each route)\n"
        "      --json          print the results as JSON instead of the table\n"
        "  -q, --quiet         print nothing but errors\n"
        "      --list-workloads  print workloads and their parameters, and end\n"
        "      --help          print this help");
    haksim_print_workloads(false);
    haksim_print_machines();
    puts("\nExample:\n"
         "  haksim run --workload=larson,rounds=1 --geometry=seed --route=cda,s2,best\n"
         "\nExit status: 0 fine; 1 a check of the allocator failed; 2 usage or bad input;\n"
         "130 interrupted, results so far are written.");
}

// ---------------------------------------------------------------- the command

static void show(const struct haksim_job *job, size_t i) {
    haksim_print_run(job->output, &job->request, &job->outcomes[i]);
}

static int do_job(struct haksim_job *job) {
    haksim_print_head(job->output, &job->request);
    int status = haksim_job_run(job, show);
    if (status == HAKSIM_USAGE)
        return status;
    if (haksim_write(job->output, &job->routes, job->request.source, job->outcomes, job->done,
                     job->message, sizeof job->message))
        return haksim_fail("%s", job->message);
    return status == HAKSIM_OK && sim_os_interrupted ? HAKSIM_STOPPED : status;
}

int haksim_run_command(int argc, char **argv) {
    struct haksim_command command = HAKSIM_COMMAND_DEFAULTS;
    bool lists = false;
    const struct haksim_option options[] = {HAKSIM_JOB_OPTIONS(&command),
                                            {"list-workloads", 0, HAKSIM_FLAG, &lists, 0, 0, NULL}};
    int status =
        haksim_take_options("run", argc, argv, options, sizeof options / sizeof options[0]);
    if (status != HAKSIM_OK)
        return status;
    if (command.help) {
        print_help();
        return HAKSIM_OK;
    }
    if (lists) {
        haksim_print_workloads(true);
        return HAKSIM_OK;
    }
    if (!command.workload)
        return haksim_fail("run: expected --workload (see haksim run --help)");
    struct haksim_job job;
    sim_os_catch_interrupts();
    status = haksim_job_open(&command, &job);
    command.output.workload = job.name;
    job.output = &command.output;
    if (status == HAKSIM_OK)
        status = do_job(&job);
    haksim_job_close(&job);
    return status;
}
