// entry_cxx.c: the C++ operators new and delete of libmf2.so, in C under their mangled names, so
// that nothing of a C++ library comes along.
//
// Without them, libstdc++'s operators would call malloc and free here; these save that second
// call. What they do not do is fail: an operator new that finds no memory must call the program's
// new-handler and throw, and the nothrow forms must catch what the handler throws. The program's
// own C++ library knows how, and its operator allocates with malloc, which is MF2's. So the failure
// path hands the whole request to that library's operator of the same name.
//
// Exceptions pass through these functions: the file is compiled with -fexceptions.
#include "fast.h"
#include "mf2.h"
#include "platform.h"
#include "platform_process.h"

#define EXPORT __attribute__((visibility("default")))

// std::nothrow is passed by reference, std::align_val_t as the size_t that it is.
typedef const void *nothrow_tag;

// ---------------------------------------------------------------- failure

static void *operator_of_library(const char *name, size_t bytes) {
    void *function = mf2_cxx_library_function(name);
    if (!function)
        mf2_fail("operator new: no memory, and no C++ library to throw std::bad_alloc; bytes",
                 bytes);
    return function;
}

// Function pointers and void pointers convert only through a copy, says C.
#define CALL_LIBRARY(type, name, bytes, ...)                                                       \
    ({                                                                                             \
        void *address = operator_of_library(name, bytes);                                          \
        type function;                                                                             \
        __builtin_memcpy(&function, &address, sizeof function);                                    \
        function(bytes, ##__VA_ARGS__);                                                            \
    })

typedef void *new_function(size_t bytes);
typedef void *new_nothrow_function(size_t bytes, nothrow_tag tag);
typedef void *new_aligned_function(size_t bytes, size_t alignment);
typedef void *new_aligned_nothrow_function(size_t bytes, size_t alignment, nothrow_tag tag);

// Behind the fast path of the common operators; apart, so that they have no frame and jump here.
static MF2_NOINLINE void *new_uncommon(size_t bytes, const char *name) {
    void *block = mf2_malloc_uncommon(bytes);
    return MF2_LIKELY(block != NULL) ? block : CALL_LIBRARY(new_function *, name, bytes);
}

static MF2_NOINLINE void *new_nothrow_uncommon(size_t bytes, nothrow_tag tag, const char *name) {
    void *block = mf2_malloc_uncommon(bytes);
    return MF2_LIKELY(block != NULL) ? block
                                     : CALL_LIBRARY(new_nothrow_function *, name, bytes, tag);
}

static MF2_NOINLINE void *new_aligned_fails(const char *name, size_t bytes, size_t alignment) {
    return CALL_LIBRARY(new_aligned_function *, name, bytes, alignment);
}

static MF2_NOINLINE void *new_aligned_nothrow_fails(const char *name, size_t bytes,
                                                    size_t alignment, nothrow_tag tag) {
    return CALL_LIBRARY(new_aligned_nothrow_function *, name, bytes, alignment, tag);
}

// ---------------------------------------------------------------- new

// An alignment that is no power of two is left to the library's operator as well.
static inline void *aligned(size_t bytes, size_t alignment) {
    bool power_of_two = alignment != 0 && (alignment & (alignment - 1)) == 0;
    return MF2_LIKELY(power_of_two) ? mf2_aligned_alloc(alignment, bytes) : NULL;
}

#define OPERATOR_NEW(name)                                                                         \
    void *name(size_t bytes);                                                                      \
    EXPORT void *name(size_t bytes) {                                                              \
        void *block = mf2_malloc_fast(bytes);                                                      \
        return MF2_LIKELY(block != NULL) ? block : new_uncommon(bytes, #name);                     \
    }

#define OPERATOR_NEW_NOTHROW(name)                                                                 \
    void *name(size_t bytes, nothrow_tag tag);                                                     \
    EXPORT void *name(size_t bytes, nothrow_tag tag) {                                             \
        void *block = mf2_malloc_fast(bytes);                                                      \
        return MF2_LIKELY(block != NULL) ? block : new_nothrow_uncommon(bytes, tag, #name);        \
    }

#define OPERATOR_NEW_ALIGNED(name)                                                                 \
    void *name(size_t bytes, size_t alignment);                                                    \
    EXPORT void *name(size_t bytes, size_t alignment) {                                            \
        void *block = aligned(bytes, alignment);                                                   \
        return MF2_LIKELY(block != NULL) ? block : new_aligned_fails(#name, bytes, alignment);     \
    }

#define OPERATOR_NEW_ALIGNED_NOTHROW(name)                                                         \
    void *name(size_t bytes, size_t alignment, nothrow_tag tag);                                   \
    EXPORT void *name(size_t bytes, size_t alignment, nothrow_tag tag) {                           \
        void *block = aligned(bytes, alignment);                                                   \
        return MF2_LIKELY(block != NULL)                                                           \
                   ? block                                                                         \
                   : new_aligned_nothrow_fails(#name, bytes, alignment, tag);                      \
    }

OPERATOR_NEW(_Znwm) // operator new
OPERATOR_NEW(_Znam) // operator new[]
OPERATOR_NEW_NOTHROW(_ZnwmRKSt9nothrow_t)
OPERATOR_NEW_NOTHROW(_ZnamRKSt9nothrow_t)
OPERATOR_NEW_ALIGNED(_ZnwmSt11align_val_t)
OPERATOR_NEW_ALIGNED(_ZnamSt11align_val_t)
OPERATOR_NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
OPERATOR_NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)

// ---------------------------------------------------------------- delete

// Size, alignment and tag are of no use here: a block's address says everything.
#define UNUSED __attribute__((unused))
#define OPERATOR_DELETE(name, parameters)                                                          \
    void name parameters;                                                                          \
    EXPORT void name parameters {                                                                  \
        if (MF2_UNLIKELY(!mf2_free_fast(block)))                                                   \
            mf2_free_uncommon(block);                                                              \
    }

OPERATOR_DELETE(_ZdlPv, (void *block)) // operator delete
OPERATOR_DELETE(_ZdaPv, (void *block)) // operator delete[]
OPERATOR_DELETE(_ZdlPvm, (void *block, UNUSED size_t bytes))
OPERATOR_DELETE(_ZdaPvm, (void *block, UNUSED size_t bytes))
OPERATOR_DELETE(_ZdlPvRKSt9nothrow_t, (void *block, UNUSED nothrow_tag tag))
OPERATOR_DELETE(_ZdaPvRKSt9nothrow_t, (void *block, UNUSED nothrow_tag tag))
OPERATOR_DELETE(_ZdlPvSt11align_val_t, (void *block, UNUSED size_t alignment))
OPERATOR_DELETE(_ZdaPvSt11align_val_t, (void *block, UNUSED size_t alignment))
OPERATOR_DELETE(_ZdlPvmSt11align_val_t, (void *block, UNUSED size_t bytes, UNUSED size_t alignment))
OPERATOR_DELETE(_ZdaPvmSt11align_val_t, (void *block, UNUSED size_t bytes, UNUSED size_t alignment))
OPERATOR_DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t,
                (void *block, UNUSED size_t alignment, UNUSED nothrow_tag tag))
OPERATOR_DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t,
                (void *block, UNUSED size_t alignment, UNUSED nothrow_tag tag))
