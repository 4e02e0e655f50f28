// lock.c: the futex mutex of the two slow structures. 0 free, 1 taken, 2 taken and waited for:
// an uncontended pair is one CAS and one exchange, and no system call.
// The three-state method is that of U. Drepper, "Futexes Are Tricky", 2011, mutex 2.
#include "internal.h"

void mf2_lock(mf2_atomic_u32 *word) {
    uint32_t found = 0;
    bool taken = mf2_cas_acq_rel(word, &found, 1); // acquires what the last unlock released
    if (taken)
        return;
    for (;;) {
        uint32_t before = mf2_exchange_acq_rel(word, 2);
        if (before == 0)
            return;
        mf2_futex_wait(word, 2, MF2_WAIT_FOREVER);
    }
}

void mf2_unlock(mf2_atomic_u32 *word) {
    uint32_t before = mf2_exchange_acq_rel(word, 0);
    if (before == 2)
        mf2_futex_wake(word, 1);
}
