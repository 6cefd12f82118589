/* What verifying costs: CPU nanoseconds per frame and bytes per second, as a table. Not a test: it prints and judges nothing.
 *
 * Frames of one size stand one behind the other in a buffer and are fed as a pump would: in reads of 16 KiB, or one frame at a
 * time. Each figure is the best of several rounds of the thread's own clock, so that what else runs here matters little. */
#define _POSIX_C_SOURCE 199309L
#include "protocol/utf8_simd.h"
#include "protocol/ws_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUFFER_BYTES ((size_t)4 << 20)
#define READ_BYTES 16384
#define ROUNDS 15

static const uint8_t mask[4] = { 0x3a, 0xc5, 0x91, 0x5e };
static const char *const ascii = "The quick brown fox jumps over the lazy dog. ";
static const char *const cjk = "\xe5\xa4\xa9\xe5\x9c\xb0\xe7\x8e\x84\xe9\xbb\x84\xe5\xae\x87\xe5\xae\x99\xe6\xb4\xaa\xe8\x8d\x92";
static const char *const mixed = "na\xc3\xafve caf\xc3\xa9 \xe2\x82\xac 5, \xf0\x9f\x98\x80 and plain words between. ";

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Whole code points of the pattern, then letters, so that the payload is n bytes. */
static void fill(uint8_t *out, size_t n, const char *pattern)
{
    size_t step = strlen(pattern), at = 0;

    for (; at + step <= n; at += step)
        memcpy(out + at, pattern, step);
    memset(out + at, 'x', n - at);
}

static size_t put_frame(uint8_t *out, size_t payload, bool masked, const char *pattern)
{
    size_t n = 2, form = payload < 126 ? 0 : payload < 65536 ? 2 : 8;

    out[0] = 0x80 | WS_TEXT;
    out[1] = (uint8_t)((masked ? 0x80 : 0) | (form == 0 ? payload : form == 2 ? 126 : 127));
    for (size_t i = 0; i < form; i++)
        out[n++] = (uint8_t)(payload >> (8 * (form - 1 - i)));
    if (masked) {
        memcpy(out + n, mask, sizeof(mask));
        n += sizeof(mask);
    }
    fill(out + n, payload, pattern);
    for (size_t i = 0; masked && i < payload; i++)
        out[n + i] ^= mask[i % 4];
    return n + payload;
}

/* Scans the whole buffer in reads of at most read_bytes, what did not pass staying in front of the next read. */
static void scan(const struct ws_scan_rules *rules, const uint8_t *p, size_t n, size_t read_bytes)
{
    struct ws_scan s;
    struct ws_control control;
    size_t from = 0, to = 0, passed;

    ws_scan_init(&s, rules);
    while (to < n) {
        to = n - to > read_bytes ? to + read_bytes : n;
        if (ws_scan_feed(&s, p + from, to - from, &passed, &control) != WS_SCAN_MORE)
            abort();
        from += passed;
    }
    if (from != n)
        abort();
}

static double best_scan_ns(const struct ws_scan_rules *rules, const uint8_t *p, size_t n, size_t read_bytes)
{
    double best = 1e18;

    for (int i = 0; i < ROUNDS; i++) {
        double start = now_ns(), took;
        scan(rules, p, n, read_bytes);
        took = now_ns() - start;
        best = took < best ? took : best;
    }
    return best;
}

static void bench_frames(uint8_t *buffer, size_t payload, bool masked, enum ws_verify verify, const char *name,
                         const char *pattern)
{
    struct ws_scan_rules rules = { .from_client = masked, .verify = verify };
    size_t n = 0, frames = 0, frame = 0;
    double in_reads, one_by_one;

    while (n + payload + WS_HEAD_MAX_BYTES <= BUFFER_BYTES) {
        frame = put_frame(buffer + n, payload, masked, pattern);
        n += frame;
        frames++;
    }
    in_reads = best_scan_ns(&rules, buffer, n, READ_BYTES);
    one_by_one = best_scan_ns(&rules, buffer, n, frame);
    printf("%7zu  %-8s %-7s %-6s %12.1f %12.1f %10.2f\n", payload, masked ? "masked" : "unmasked",
           verify == WS_VERIFY_UTF8 ? "utf8" : "frames", name, in_reads / (double)frames, one_by_one / (double)frames,
           (double)n / in_reads);
}

static void bench_reader(uint8_t *buffer, const char *reader, size_t (*whole)(const uint8_t *, size_t, const uint8_t *),
                         const char *name, const char *pattern)
{
    static const uint8_t key[UTF8_KEY_BYTES] = { 0 };
    const size_t n = 65536;
    double best = 1e18;

    fill(buffer, n, pattern);
    for (int i = 0; i < ROUNDS * 10; i++) {
        double start = now_ns(), took;
        if (whole(buffer, n, key) + 64 < n)
            abort();
        took = now_ns() - start;
        best = took < best ? took : best;
    }
    printf("%-10s %-6s %10.2f\n", reader, name, (double)n / best);
}

static void bench_readers(uint8_t *buffer, const char *name, const char *pattern)
{
    bench_reader(buffer, "portable", utf8_whole_portable, name, pattern);
#if defined(__x86_64__)
    bench_reader(buffer, "ssse3", utf8_whole_ssse3, name, pattern);
    if (__builtin_cpu_supports("avx2"))
        bench_reader(buffer, "avx2", utf8_whole_avx2, name, pattern);
#endif
}

int main(void)
{
    static const size_t payloads[] = { 16, 125, 1024, 65536 };
    uint8_t *buffer = malloc(BUFFER_BYTES);

    if (buffer == NULL)
        return 1;
    printf("payload  mask     verify  text   ns in 16 KiB  ns by frame       GB/s\n");
    for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++)
        for (int masked = 1; masked >= 0; masked--) {
            bench_frames(buffer, payloads[i], masked, WS_VERIFY_FRAMES, "ascii", ascii);
            bench_frames(buffer, payloads[i], masked, WS_VERIFY_UTF8, "ascii", ascii);
            bench_frames(buffer, payloads[i], masked, WS_VERIFY_UTF8, "mixed", mixed);
            bench_frames(buffer, payloads[i], masked, WS_VERIFY_UTF8, "cjk", cjk);
        }
    printf("\nreader     text         GB/s (64 KiB)\n");
    bench_readers(buffer, "ascii", ascii);
    bench_readers(buffer, "mixed", mixed);
    bench_readers(buffer, "cjk", cjk);
    free(buffer);
    return 0;
}
