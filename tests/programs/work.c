/* work AT JOBS: JOBS programs, AT of them at a time, as a build of software runs them: each is started by fork and exec,
 * sorts numbers in fresh memory, writes them to a file, maps the file and checks it. Prints what came out:
 *     WORK at=4 jobs=24 sum=… ticks=…
 * with the ticks of the time stamp counter that it took.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

enum { NUMBERS = 96 * 1024, CHUNK = 4096 };

static void fail(const char *what)
{
    perror(what);
    exit(255);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* One job; what it found out, below 128. */
static int job(unsigned int number)
{
    size_t size = NUMBERS * sizeof(uint32_t);
    uint32_t *numbers = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (numbers == MAP_FAILED)
        fail("memory");
    uint64_t random = 0x9E3779B97F4A7C15u * (number + 1);
    for (size_t i = 0; i < NUMBERS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        numbers[i] = random >> 32;
    }
    qsort(numbers, NUMBERS, sizeof *numbers, compare);

    char name[32];
    snprintf(name, sizeof name, "/tmp/work.%u", number);
    int file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0)
        fail(name);
    for (size_t at = 0; at < size; at += CHUNK)
        if (write(file, (char *)numbers + at, CHUNK) != CHUNK)
            fail(name);
    munmap(numbers, size);
    const uint32_t *mapped = mmap(NULL, size, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED)
        fail(name);
    uint32_t sum = mapped[0];
    for (size_t i = 1; i < NUMBERS; i++) {
        if (mapped[i] < mapped[i - 1])
            exit(254);
        sum = sum * 31 + mapped[i];
    }
    unlink(name);
    return sum % 128;
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return job(atoi(argv[1]));
    if (argc != 3)
        return 253;
    uint64_t start = __rdtsc();
    int at = atoi(argv[1]), jobs = atoi(argv[2]), begun = 0, running = 0, sum = 0;
    while (begun < jobs || running) {
        if (begun < jobs && running < at) {
            char number[16];
            snprintf(number, sizeof number, "%d", begun++);
            pid_t child = fork();
            if (child < 0)
                fail("fork");
            if (!child) {
                execl("/proc/self/exe", argv[0], number, (char *)NULL);
                fail("exec");
            }
            running++;
            continue;
        }
        int status;
        if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) >= 128)
            fail("job");
        sum += WEXITSTATUS(status);
        running--;
    }
    printf("WORK at=%d jobs=%d sum=%d ticks=%llu\n", at, jobs, sum, (unsigned long long)(__rdtsc() - start));
    return 0;
}
