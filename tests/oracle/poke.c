/* A candidate that makes one access of 1 to 64 bytes, wherever `scale` says. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static volatile unsigned char sink;

/* scale = ((offset + 4096) * 128 + width) * 16 + array * 4 + from_end * 2 + write */
void poke(const float *y, const float *dy, float *dx, size_t rows, size_t n, double scale) {
    int64_t code = (int64_t)scale;
    int write = code & 1, from_end = code >> 1 & 1, array = code >> 2 & 3;
    size_t width = code >> 4 & 127;
    ptrdiff_t offset = (ptrdiff_t)(code >> 11) - 4096;
    char *arrays[] = {(char *)(uintptr_t)y, (char *)(uintptr_t)dy, (char *)dx};
    char *at = arrays[array] + (from_end ? rows * n * sizeof *y : 0) + offset;
    unsigned char buffer[64];
    memset(buffer, 0xa5, sizeof buffer);
    /* a constant width makes one instruction of each access, where the machine has one */
    switch (width) {
#define ACCESS(bytes)                                                                              \
    case bytes:                                                                                    \
        if (write)                                                                                 \
            memcpy(at, buffer, bytes);                                                             \
        else                                                                                       \
            memcpy(buffer, at, bytes);                                                             \
        break;
        ACCESS(1)
        ACCESS(2)
        ACCESS(4)
        ACCESS(8)
        ACCESS(16)
        ACCESS(32)
        ACCESS(64)
    default:
        for (size_t i = 0; i < width; i++)
            if (write)
                ((volatile char *)at)[i] = 1;
            else
                buffer[i] = ((volatile unsigned char *)at)[i];
    }
    __asm__ volatile("" : : "r"(buffer) : "memory");
    sink = buffer[0];
}
