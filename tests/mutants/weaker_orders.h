// weaker_orders.h: accesses with weaker memory orders than MF2 uses, for bugs that weaken one.
// Forced into every planted bug's files, before the first line.
#ifndef HAK_WEAKER_ORDERS_H
#define HAK_WEAKER_ORDERS_H

#include "platform.h"

#ifdef MF2_VIRTUAL
#define weak_cas(p, expected, v, order)                                                            \
    mf2_virtual_cas((p), sizeof((p)->value), (expected), (v),                                      \
                    MF2_SITE(MF2_POINT_CAS, MF2_##order, #p))
#define weak_exchange(p, v, order)  MF2_RMW(p, v, MF2_POINT_EXCHANGE, MF2_##order, #p)
#define weak_fetch_add(p, v, order) MF2_RMW(p, v, MF2_POINT_ADD, MF2_##order, #p)
#define weak_fetch_or(p, v, order)  MF2_RMW(p, v, MF2_POINT_OR, MF2_##order, #p)
#define weak_fetch_and(p, v, order) MF2_RMW(p, v, MF2_POINT_AND, MF2_##order, #p)
#else
#define WEAK_RELAXED memory_order_relaxed
#define WEAK_ACQUIRE memory_order_acquire
#define WEAK_RELEASE memory_order_release
#define weak_cas(p, expected, v, order)                                                            \
    atomic_compare_exchange_strong_explicit(&(p)->value, (expected), (v), WEAK_##order,            \
                                            memory_order_relaxed)
#define weak_exchange(p, v, order)  atomic_exchange_explicit(&(p)->value, (v), WEAK_##order)
#define weak_fetch_add(p, v, order) atomic_fetch_add_explicit(&(p)->value, (v), WEAK_##order)
#define weak_fetch_or(p, v, order)  atomic_fetch_or_explicit(&(p)->value, (v), WEAK_##order)
#define weak_fetch_and(p, v, order) atomic_fetch_and_explicit(&(p)->value, (v), WEAK_##order)
#endif

#endif
