// real_operators.cc: every form of operator new and delete: aligned, apart, freed in any form, and,
// where there is no memory, the new-handler is called, std::bad_alloc is thrown, or NULL returned.
#include "real_test.h"

#include <new>
#include <pthread.h>
#include <string>
#include <vector>

static constexpr size_t IMPOSSIBLE = size_t{1} << 60;
static volatile size_t impossible = IMPOSSIBLE; // not the compiler's to judge

template <typename Call> static bool throws(Call call) {
    try {
        call();
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

static void forms_that_succeed() {
    for (size_t bytes = 0; bytes < 200000; bytes = bytes * 3 + 1) {
        operator delete(operator new(bytes));
        operator delete(operator new(bytes), bytes);
        operator delete[](operator new[](bytes));
        operator delete[](operator new[](bytes), bytes);
        operator delete(operator new(bytes, std::nothrow), std::nothrow);
        operator delete[](operator new[](bytes, std::nothrow), std::nothrow);
        for (size_t power = 1; power <= 1 << 17; power *= 2) {
            auto alignment = std::align_val_t{power};
            void *block = operator new(bytes, alignment);
            FACT(reinterpret_cast<uintptr_t>(block) % power == 0);
            fill(block, bytes, 3);
            operator delete(block, alignment);
            operator delete(operator new(bytes, alignment), bytes, alignment);
            operator delete[](operator new[](bytes, alignment), alignment);
            operator delete[](operator new[](bytes, alignment), bytes, alignment);
            block = operator new(bytes, alignment, std::nothrow);
            FACT(reinterpret_cast<uintptr_t>(block) % power == 0);
            operator delete(block, alignment, std::nothrow);
            operator delete[](operator new[](bytes, alignment, std::nothrow), alignment, std::nothrow);
        }
    }
    operator delete(nullptr);
    free(operator new(100)); // one allocator behind both names
}

static void forms_that_fail() {
    auto alignment = std::align_val_t{64};
    FACT(throws([] { operator delete(operator new(impossible)); }));
    FACT(throws([] { operator delete[](operator new[](impossible)); }));
    FACT(throws([=] { operator delete(operator new(impossible, alignment)); }));
    FACT(throws([=] { operator delete[](operator new[](impossible, alignment)); }));
    FACT(operator new(impossible, std::nothrow) == nullptr);
    FACT(operator new[](impossible, std::nothrow) == nullptr);
    FACT(operator new(impossible, alignment, std::nothrow) == nullptr);
    FACT(operator new[](impossible, alignment, std::nothrow) == nullptr);
}

static int handled;
static void give_up_the_third_time() {
    if (++handled == 3)
        throw std::bad_alloc();
}

static void the_new_handler_is_called() {
    std::set_new_handler(give_up_the_third_time);
    handled = 0;
    FACT(throws([] { operator delete(operator new(impossible)); }));
    FACT(handled == 3);
    handled = 0;
    FACT(operator new(impossible, std::nothrow) == nullptr); // what the handler throws is caught
    FACT(handled == 3);
    handled = 0;
    FACT(throws([] { operator delete(operator new(impossible, std::align_val_t{64})); }));
    FACT(handled == 3);
    std::set_new_handler(nullptr);
}

// The destructor of a thread's object allocates and frees while the thread ends.
struct Late {
    std::vector<std::string> strings;
    ~Late() {
        for (int i = 0; i < 100; i++)
            strings.push_back(std::string(static_cast<size_t>(i) * 50, 'x'));
    }
};
static thread_local Late late;

static void *touch_late(void *) {
    late.strings.push_back("a first string that does not fit inside its object");
    return nullptr;
}

static void thread_local_objects() {
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        pthread_create(&thread, nullptr, touch_late, nullptr);
        pthread_join(thread, nullptr);
    }
}

int main() {
    require_library();
    forms_that_succeed();
    forms_that_fail();
    the_new_handler_is_called();
    thread_local_objects();
    return failures != 0;
}
