// trace_event.c: the tables of operations, columns and entry points (FORMAT.md §3, §6).
//
// Owns: which columns an op has, what they are called, how a column is written. Immutable; any
// thread may read it.
#include "trace_internal.h"

enum { ALLOCATES = TRACE_OP_CREATES | TRACE_OP_HAS_SIZE | TRACE_OP_HAS_STACK | TRACE_OP_HAS_ENTRY };

const struct trace_op_info trace_op_table[TRACE_OP_COUNT] = {
    [0] = {"none", 0},
    [TRACE_MALLOC] = {"malloc", ALLOCATES},
    [TRACE_CALLOC] = {"calloc", ALLOCATES},
    [TRACE_ALIGNED] = {"aligned", ALLOCATES | TRACE_OP_HAS_ALIGN},
    [TRACE_FREE] = {"free", TRACE_OP_REFERS | TRACE_OP_HAS_ENTRY},
    [TRACE_FREE_NULL] = {"free-null", TRACE_OP_HAS_ENTRY},
    [TRACE_REALLOC_RELEASE] = {"realloc-release",
                               TRACE_OP_REFERS | TRACE_OP_HAS_SIZE | TRACE_OP_HAS_STACK},
    [TRACE_REALLOC_ACQUIRE] = {"realloc-acquire", TRACE_OP_CREATES | TRACE_OP_HAS_ENTRY},
    [TRACE_REALLOC_FAIL] = {"realloc-fail", 0},
    [TRACE_ALLOC_FAIL] = {"alloc-fail", TRACE_OP_HAS_SIZE | TRACE_OP_HAS_STACK |
                                            TRACE_OP_HAS_ALIGN | TRACE_OP_HAS_VALUE |
                                            TRACE_OP_HAS_ENTRY},
    [TRACE_USABLE] = {"usable", TRACE_OP_REFERS | TRACE_OP_HAS_VALUE},
    [TRACE_THREAD_CREATE] = {"thread-create", TRACE_OP_HAS_PEER},
    [TRACE_THREAD_START] = {"thread-start", 0},
    [TRACE_THREAD_EXIT] = {"thread-exit", 0},
    [TRACE_THREAD_JOIN] = {"thread-join", TRACE_OP_HAS_PEER},
    [TRACE_FREE_UNKNOWN] = {"free-unknown", TRACE_OP_HAS_ENTRY},
    [TRACE_FORK] = {"fork", TRACE_OP_HAS_VALUE},
    [TRACE_LOST] = {"lost", TRACE_OP_HAS_VALUE},
};

const char *const trace_entry_names[TRACE_ENTRY_COUNT] = {
    [TRACE_ENTRY_UNKNOWN] = "unknown",
    [TRACE_ENTRY_MALLOC] = "malloc",
    [TRACE_ENTRY_CALLOC] = "calloc",
    [TRACE_ENTRY_REALLOC] = "realloc",
    [TRACE_ENTRY_REALLOCARRAY] = "reallocarray",
    [TRACE_ENTRY_MEMALIGN] = "memalign",
    [TRACE_ENTRY_POSIX_MEMALIGN] = "posix_memalign",
    [TRACE_ENTRY_ALIGNED_ALLOC] = "aligned_alloc",
    [TRACE_ENTRY_VALLOC] = "valloc",
    [TRACE_ENTRY_PVALLOC] = "pvalloc",
    [TRACE_ENTRY_FREE] = "free",
    [TRACE_ENTRY_FREE_SIZED] = "free_sized",
    [TRACE_ENTRY_FREE_ALIGNED_SIZED] = "free_aligned_sized",
    [TRACE_ENTRY_CFREE] = "cfree",
    [TRACE_ENTRY_OPERATOR_NEW] = "operator-new",
    [TRACE_ENTRY_OPERATOR_DELETE] = "operator-delete",
};

const struct trace_column_info trace_event_columns[TRACE_COLUMN_COUNT] = {
    [TRACE_COLUMN_OP] = {"op", TRACE_BYTES, TRACE_FLAG_REQUIRED, 1, 0},
    [TRACE_COLUMN_THREAD] = {"thread", TRACE_RUNS, TRACE_FLAG_REQUIRED, 8, 0},
    [TRACE_COLUMN_TIME] = {"time", TRACE_UVARINT, TRACE_FLAG_REQUIRED, 10, 0},
    [TRACE_COLUMN_OBJECT] = {"object", TRACE_UVARINT, TRACE_FLAG_REQUIRED, 10, TRACE_OP_REFERS},
    [TRACE_COLUMN_SIZE] = {"size", TRACE_UVARINT, TRACE_FLAG_REQUIRED, 10, TRACE_OP_HAS_SIZE},
    [TRACE_COLUMN_ALIGN] = {"align", TRACE_BYTES, TRACE_FLAG_REQUIRED, 1, TRACE_OP_HAS_ALIGN},
    [TRACE_COLUMN_STACK] = {"stack", TRACE_UVARINT, 0, 5, TRACE_OP_HAS_STACK},
    [TRACE_COLUMN_ADDRESS] = {"address", TRACE_DELTA, 0, 10, TRACE_OP_CREATES},
    [TRACE_COLUMN_VALUE] = {"value", TRACE_UVARINT, TRACE_FLAG_REQUIRED, 10, TRACE_OP_HAS_VALUE},
    [TRACE_COLUMN_PEER] = {"peer", TRACE_UVARINT, TRACE_FLAG_REQUIRED, 4, TRACE_OP_HAS_PEER},
    [TRACE_COLUMN_ENTRY] = {"entry", TRACE_BYTES, 0, 1, TRACE_OP_HAS_ENTRY},
    [TRACE_COLUMN_RANK] = {"rank", TRACE_BYTES, TRACE_FLAG_REQUIRED, 1, TRACE_OP_REFERS},
    [TRACE_COLUMN_DISTANCE] = {"distance", TRACE_SVARINT, TRACE_FLAG_REQUIRED, 10, TRACE_OP_REFERS},
    [TRACE_COLUMN_OTHER_ENTRY] = {"other-entry", TRACE_BYTES, TRACE_FLAG_REQUIRED, 1,
                                  TRACE_OP_HAS_ENTRY},
};

const uint8_t trace_usual_entries[TRACE_OP_COUNT] = {
    [TRACE_MALLOC] = TRACE_ENTRY_MALLOC,          [TRACE_CALLOC] = TRACE_ENTRY_CALLOC,
    [TRACE_ALIGNED] = TRACE_ENTRY_POSIX_MEMALIGN, [TRACE_FREE] = TRACE_ENTRY_FREE,
    [TRACE_FREE_NULL] = TRACE_ENTRY_FREE,         [TRACE_REALLOC_ACQUIRE] = TRACE_ENTRY_REALLOC,
    [TRACE_ALLOC_FAIL] = TRACE_ENTRY_MALLOC,      [TRACE_FREE_UNKNOWN] = TRACE_ENTRY_FREE,
};
