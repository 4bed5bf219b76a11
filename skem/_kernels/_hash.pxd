"""The mixing of row hashes, dense and CSR alike."""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    /* The constants of splitmix64. */
    #define SKEM_GOLDEN 0x9E3779B97F4A7C15ULL
    #define SKEM_MIX_1 0xBF58476D1CE4E5B9ULL
    #define SKEM_MIX_2 0x94D049BB133111EBULL
    """
    const uint64_t GOLDEN "SKEM_GOLDEN"
    const uint64_t MIX_1 "SKEM_MIX_1"
    const uint64_t MIX_2 "SKEM_MIX_2"


cdef inline uint64_t mix(uint64_t z) noexcept nogil:
    """Finaliser of splitmix64: every bit of the result depends on every bit of z."""
    z = (z ^ (z >> 30)) * MIX_1
    z = (z ^ (z >> 27)) * MIX_2
    return z ^ (z >> 31)


cdef inline uint64_t bits(double value) noexcept nogil:
    cdef uint64_t bits
    if value == 0:
        return 0                # the two zeros are one value
    memcpy(&bits, &value, sizeof(double))
    return bits
