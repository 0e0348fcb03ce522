/* disk DEVICE BLOCKSIZE COUNT DEPTH [w]: reads (or writes) COUNT blocks in sequence past the page cache, DEPTH at a
 * time, and prints what a request took in ticks of the TSC and in bytes a second:
 *     DISK read bs=4096 n=2048 depth=1 ticks=… MBps=…
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum { DEPTH_MAX = 256 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* One request at a time, by plain system calls. */
static void one_by_one(int file, char *buffer, long size, long count, long blocks, int writes)
{
    for (long i = 0; i < count; i++) {
        off_t at = i % blocks * size;
        if ((writes ? pwrite(file, buffer, size, at) : pread(file, buffer, size, at)) != size)
            fail("request");
    }
}

/* Several at a time, by Linux's asynchronous I/O. */
static void at_depth(int file, char *buffer, long size, long count, long blocks, int writes, long depth)
{
    static struct iocb requests[DEPTH_MAX];
    static struct io_event events[DEPTH_MAX];
    struct iocb *submitted[DEPTH_MAX];
    long idle[DEPTH_MAX], idle_count = 0, next = 0, done = 0;
    aio_context_t context = 0;

    if (syscall(SYS_io_setup, depth, &context))
        fail("io_setup");
    while (idle_count < depth) {
        idle[idle_count] = idle_count;
        idle_count++;
    }
    while (done < count) {
        long new = 0;
        while (idle_count && next < count) {
            long slot = idle[--idle_count];
            requests[slot] = (struct iocb){
                .aio_data = slot,
                .aio_fildes = file,
                .aio_lio_opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
                .aio_buf = (uintptr_t)(buffer + slot * size),
                .aio_nbytes = size,
                .aio_offset = next++ % blocks * size,
            };
            submitted[new++] = &requests[slot];
        }
        if (new && syscall(SYS_io_submit, context, new, submitted) != new)
            fail("io_submit");
        long ended = syscall(SYS_io_getevents, context, 1L, depth, events, NULL);
        for (long i = 0; i < ended; i++) {
            if (events[i].res != size)
                fail("request");
            idle[idle_count++] = events[i].data;
        }
        done += ended > 0 ? ended : 0;
    }
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    long size = atol(argv[2]), count = atol(argv[3]), depth = atol(argv[4]);
    int writes = argc > 5;
    int file = open(argv[1], O_DIRECT | (writes ? O_RDWR : O_RDONLY));
    if (file < 0 || depth < 1 || depth > DEPTH_MAX || size < 512 || count < 1)
        fail(argv[1]);
    long blocks = lseek(file, 0, SEEK_END) / size;
    char *buffer;
    if (blocks < 1 || posix_memalign((void **)&buffer, 4096, size * depth))
        fail("buffer");
    memset(buffer, 0x5A, size * depth);
    /* Everything is touched once before it is measured. */
    one_by_one(file, buffer, size, count < 16 ? count : 16, blocks, writes);

    double began = seconds();
    uint64_t first = __rdtsc();
    if (depth == 1)
        one_by_one(file, buffer, size, count, blocks, writes);
    else
        at_depth(file, buffer, size, count, blocks, writes, depth);
    uint64_t ticks = __rdtsc() - first;
    double took = seconds() - began;
    printf("DISK %s bs=%ld n=%ld depth=%ld ticks=%llu MBps=%.1f\n", writes ? "write" : "read", size, count, depth,
           (unsigned long long)(ticks / count), size * count / 1e6 / took);
    return 0;
}
