/* A QEMU plugin (API version 1) that says who executed how many instructions: the hypervisor, the root partition, or a
 * guest.
 *
 * Between VMRUN and the instruction behind it runs a partition. Which one, the hypervisor says with a marker when it
 * puts a virtual processor on the processor. A marker is a no-op on every processor, at any privilege:
 *     0f 1f 80 NN 'R' 'K' 'M'        nopl 0x4d4b52NN(%rax)
 *   0x10  a guest's virtual processor is on this processor from here on
 *   0x11  the root's virtual processor is
 *   else  a snapshot of all counters is printed
 * The first entry into a guest prints a snapshot too. Use with one vCPU thread (-accel tcg,thread=single).
 *
 * A snapshot is a line: `COUNT mark total hypervisor-for-root hypervisor-for-guest root guest entries-root
 * entries-guest`. The option out=FILE names where lines go.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What this plugin uses of QEMU's interface, whose header not every distribution installs. */
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*vcpu_callback)(unsigned int vcpu, void *data);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int op, void *counter, uint64_t add);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, vcpu_callback, int flags, void *data);
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);
__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { ROOT, GUEST, PARTIES };
enum { MARK_GUEST = 0x10, MARK_ROOT = 0x11, SNAPSHOT_FIRST_GUEST = 0xFE, SNAPSHOT_END = 0xFF };

static uint64_t executed;            /* instructions so far; QEMU adds to it in line */
static uint64_t accounted;           /* instructions that one of the sums below has */
static uint64_t hypervisor[PARTIES]; /* by whom it worked for */
static uint64_t inside[PARTIES];
static uint64_t entries[PARTIES];
static int party = ROOT, is_inside;

/* Where execution goes on when a partition is left: host addresses of the instructions behind VMRUN. */
static void *landings[64];
static size_t landing_count;
static FILE *output;

static void account(void)
{
    uint64_t *sum = is_inside ? &inside[party] : &hypervisor[party];
    *sum += executed - accounted;
    accounted = executed;
}

static void snapshot(unsigned int mark)
{
    account();
    fprintf(output, "COUNT %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
            mark, executed, hypervisor[ROOT], hypervisor[GUEST], inside[ROOT], inside[GUEST], entries[ROOT],
            entries[GUEST]);
    fflush(output);
}

static void on_vmrun(unsigned int vcpu, void *data)
{
    (void)vcpu, (void)data;
    account();
    if (party == GUEST && entries[GUEST] == 0)
        snapshot(SNAPSHOT_FIRST_GUEST);
    entries[party]++;
    is_inside = 1;
}

static void on_landing(unsigned int vcpu, void *data)
{
    (void)vcpu, (void)data;
    if (is_inside) {
        account();
        is_inside = 0;
    }
}

static void on_mark(unsigned int vcpu, void *data)
{
    unsigned int mark = (unsigned int)(uintptr_t)data;
    (void)vcpu;
    if (mark == MARK_GUEST || mark == MARK_ROOT) {
        account();
        party = mark == MARK_GUEST ? GUEST : ROOT;
    } else {
        snapshot(mark);
    }
}

static int is_landing(void *address)
{
    for (size_t i = 0; i < landing_count; i++)
        if (landings[i] == address)
            return 1;
    return 0;
}

static void on_translate(plugin_id id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        const uint8_t *bytes = qemu_plugin_insn_data(insn);
        size_t size = qemu_plugin_insn_size(insn);
        uint8_t *address = qemu_plugin_insn_haddr(insn);
        /* Before it is counted: a landing is the hypervisor's. */
        if (i == 0 && address && is_landing(address))
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_landing, 0, NULL);
        qemu_plugin_register_vcpu_insn_exec_inline(insn, 0, &executed, 1);
        if (size == 3 && memcmp(bytes, "\x0f\x01\xd8", 3) == 0 && address) {
            if (!is_landing(address + 3) && landing_count < sizeof landings / sizeof *landings)
                landings[landing_count++] = address + 3;
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_vmrun, 0, NULL);
        }
        if (size == 7 && memcmp(bytes, "\x0f\x1f\x80", 3) == 0 && memcmp(bytes + 4, "RKM", 3) == 0)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, 0, (void *)(uintptr_t)bytes[3]);
    }
}

static void on_exit_(plugin_id id, void *data)
{
    (void)id, (void)data;
    snapshot(SNAPSHOT_END);
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    output = stderr;
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], "out=", 4) == 0 && !(output = fopen(argv[i] + 4, "w")))
            return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_atexit_cb(id, on_exit_, NULL);
    return 0;
}
