/* A ticket counter shared by the threads of a pass: chunks are taken, and later committed, in their order. */
#ifndef SKEM_TICKETS_H
#define SKEM_TICKETS_H

#if defined(_MSC_VER)
#include <intrin.h>
static __inline long take_ticket(volatile long *counter) { return _InterlockedExchangeAdd(counter, 1); }
static __inline void wait_turn(volatile long *turn, long mine) { while (*turn != mine) _mm_pause(); }
static __inline void pass_turn(volatile long *turn) { _InterlockedExchangeAdd(turn, 1); }
#else
#include <sched.h>
static inline long take_ticket(volatile long *counter) { return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }
static inline void wait_turn(volatile long *turn, long mine)
{
    for (int spins = 0; __atomic_load_n(turn, __ATOMIC_ACQUIRE) != mine; spins++)
        if (spins > 1000) sched_yield();
}
static inline void pass_turn(volatile long *turn) { __atomic_fetch_add(turn, 1, __ATOMIC_RELEASE); }
#endif

#endif
