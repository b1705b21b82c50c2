/* Loaded with LD_PRELOAD: makes this processor look like a smaller one, at full speed.
 *
 * The kernel lets a process forbid itself the instruction CPUID (arch_prctl ARCH_SET_CPUID, Intel since
 * Ivy Bridge). Every CPUID then raises SIGSEGV, and the handler below answers with fewer features, or as
 * another vendor. Libraries that choose their kernels by CPUID choose as they would there. The C library has
 * asked before: GLIBC_TUNABLES does the same for it.
 *
 * CPU_MASK: words separated by commas, each taking features away: amx, avx512vnni (all after Skylake),
 * avx512, avx2 (with FMA, F16C), avx; `amd`: AuthenticAMD, family 25. Without the variable: nothing.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
static int no_amx, no_vnni, no_avx512, no_avx2, no_avx, amd;
static struct sigaction before;

static void allow(long yes) { syscall(SYS_arch_prctl, ARCH_SET_CPUID, yes); }

static void masked(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d, uint32_t leaf, uint32_t sub) {
    if (leaf == 1) {
        if (no_avx2) *c &= ~(1u << 12 | 1u << 29);   /* FMA, F16C */
        if (no_avx) *c &= ~(1u << 28 | 1u << 27 | 1u << 26); /* AVX, OSXSAVE, XSAVE */
        if (amd) *a = 0x00A20F12;                    /* family 25, model 33 */
    }
    if (leaf == 7 && sub == 0) {
        if (no_amx) *d &= ~(1u << 22 | 1u << 24 | 1u << 25 | 1u << 23); /* AMX, FP16 */
        if (no_vnni) {
            *b &= ~(1u << 21);                       /* IFMA */
            *c &= ~(1u << 1 | 1u << 6 | 1u << 8 | 1u << 9 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 14);
            *d &= ~(1u << 8 | 1u << 23);
        }
        if (no_avx512) {
            *b &= ~(1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31);
            *c &= ~(1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14);
        }
        if (no_avx2) {
            *b &= ~(1u << 5 | 1u << 3 | 1u << 8);    /* AVX2, BMI */
            *c &= ~(1u << 8 | 1u << 9 | 1u << 10);   /* GFNI, VAES */
        }
    }
    if (leaf == 7 && sub == 1 && no_vnni) *a &= ~(1u << 4 | 1u << 5 | 1u << 21 | 1u << 23);
    if (leaf == 7 && sub == 1 && no_vnni) *d = 0;
    if (amd && (leaf == 0 || leaf == 0x80000000u)) {
        *b = 0x68747541; *d = 0x69746e65; *c = 0x444d4163;
    }
}

static void answer(int number, siginfo_t *info, void *context) {
    ucontext_t *where = context;
    greg_t *reg = where->uc_mcontext.gregs;
    const unsigned char *code = (const unsigned char *)reg[REG_RIP];
    if (info->si_code != SI_KERNEL || code[0] != 0x0f || code[1] != 0xa2) {
        sigaction(number, &before, 0);
        return;
    }
    uint32_t leaf = reg[REG_RAX], sub = reg[REG_RCX], a = leaf, b = 0, c = sub, d = 0;
    allow(1);
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    allow(0);
    masked(&a, &b, &c, &d, leaf, sub);
    reg[REG_RAX] = a, reg[REG_RBX] = b, reg[REG_RCX] = c, reg[REG_RDX] = d;
    reg[REG_RIP] += 2;
}

__attribute__((constructor(101))) static void start(void) {
    const char *mask = getenv("CPU_MASK");
    if (!mask || !*mask) return;
    no_avx = strstr(mask, "noavx") != 0;
    no_avx2 = no_avx || strstr(mask, "avx2") != 0;
    no_avx512 = no_avx2 || strstr(mask, "avx512,") != 0 || (strlen(mask) >= 6 && !strcmp(mask + strlen(mask) - 6, "avx512"));
    no_vnni = no_avx512 || strstr(mask, "vnni") != 0;
    no_amx = no_vnni || strstr(mask, "amx") != 0;
    amd = strstr(mask, "amd") != 0;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = answer;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    if (sigaction(SIGSEGV, &action, &before)) _exit(97);
    if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0L)) _exit(98);
}
