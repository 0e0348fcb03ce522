/* mark N: executes marker N (0 to 7), which the counting plugin (../plugin/count.c) sees; nothing else does. */
#include <stdlib.h>

#define MARK(n) case n: __asm__ volatile(".byte 0x0f, 0x1f, 0x80, " #n ", 'R', 'K', 'M'"); break

int main(int argc, char **argv)
{
    switch (argc > 1 ? atoi(argv[1]) : -1) {
    MARK(0); MARK(1); MARK(2); MARK(3); MARK(4); MARK(5); MARK(6); MARK(7);
    default: return 2;
    }
    return 0;
}
