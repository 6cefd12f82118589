/* PROXY headers, both versions: whole, at every cut and byte by byte; what is written reads back. */
#include "protocol/proxy_header.h"
#include "tests/protocol/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define BEHIND "GET / HTTP/1.1\r\n"      /* what follows a header, and stays */

/* ---- one header, as it arrives ---- */

static void tell_span(struct split_log *log, const char *name, struct span s)
{
    if (s.p != NULL)
        split_write(log, " %s=%.*s", name, SPAN_FORMAT(s));
}

static void tell(struct split_log *log, int size, const struct proxy_header *h)
{
    static const char *const kinds[] = { "local", "unknown", "addresses" };
    char source[NET_NAME_TEXT], destination[NET_NAME_TEXT];

    if (size < 0) {
        split_write(log, "%s", fault_word((enum fault)-size));
        return;
    }
    split_write(log, "%d v%u %s", size, h->version, kinds[h->kind]);
    if (h->kind == PROXY_HEADER_ADDRESSES) {
        net_address_print_name(&h->source, source);
        net_address_print_name(&h->destination, destination);
        split_write(log, " %s > %s", source, destination);
    }
    tell_span(log, "authority", h->authority);
    tell_span(log, "id", h->unique_id);
    if (h->has_tls)
        split_write(log, " tls%s%s", h->tls.certificate ? " certificate" : "", h->tls.verified ? " verified" : "");
    tell_span(log, "version", h->tls.version);
    tell_span(log, "cipher", h->tls.cipher);
    tell_span(log, "cn", h->tls.common_name);
}

/* Each look is at a copy of exactly what is there. */
static int look(struct span bytes, size_t n, struct split_log *log)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    struct proxy_header h;
    int size;

    assert_non_null(copy);
    if (n > 0)
        memcpy(copy, bytes.p, n);
    size = proxy_header_read(copy, n, &h);
    assert_true(size <= (int)n);
    if (size != 0)
        tell(log, size, &h);
    free(copy);
    return size;
}

static void arrive(void *ctx, struct span bytes, const struct split_arrival *arrival, struct split_log *log)
{
    size_t seen = 0;

    (void)ctx;
    while (seen < bytes.n) {
        seen = split_next(arrival, seen, bytes.n);
        if (look(bytes, seen, log) != 0)
            return;
    }
    split_write(log, "more");
}

static void expect(const char *name, struct span bytes, const char *saw)
{
    static struct split_log log;

    split_all(name, arrive, NULL, bytes, &log);
    if (strcmp(log.text, saw) != 0)
        fail_msg("`%s`: `%s` instead of `%s`", name, log.text, saw);
}

/* ---- version 1 ---- */

#define LONGEST_1 "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
#define LONGEST_2 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 65534\r\n"
#define FILL_80 "01234567890123456789012345678901234567890123456789012345678901234567890123456789"

static void v1_lines(void **state)
{
    static const struct {
        const char *line, *saw;
    } rows[] = {
        { "PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r\n" BEHIND, "44 v1 addresses 192.0.2.7:56324 > 203.0.113.1:443" },
        { "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
          "56 v1 addresses 255.255.255.255:65535 > 255.255.255.255:65535" },
        { "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "32 v1 addresses 0.0.0.0 > 0.0.0.0" },
        { "PROXY TCP6 2001:db8::7 2001:DB8:0:0:0:0:0:1 56324 443\r\n" BEHIND,
          "55 v1 addresses [2001:db8::7]:56324 > [2001:db8::1]:443" },
        { LONGEST_1 LONGEST_2, "104 v1 addresses [ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535 > "
                               "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65534" },
        { "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:203.0.113.1 1 2\r\n", "52 v1 addresses 192.0.2.7:1 > 203.0.113.1:2" },
        { "PROXY UNKNOWN\r\n" BEHIND, "15 v1 unknown" },
        { "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "59 v1 unknown" },
        { "PROXY UNKNOWN any bytes \x01\xff\r in between\r\n", "40 v1 unknown" },
        { "PROXY UNKNOWN " FILL_80 "12345678901\r\n" BEHIND, "107 v1 unknown" },
        { "", "more" },
        { "PROXY ", "more" },
        { "PROXY TCP4 192.0.2.7 203.0.113.1 56324 443", "more" },
        { "PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r", "more" },
        /* the longest line there is */
        { "PROXY UNKNOWN " FILL_80 "123456789012\r\n", "proxy_line" },
        { "PROXY UNKNOWN " FILL_80 "1234567890123456789012345678901234567890", "proxy_line" },
        { "PROXY UNKNOWN " FILL_80 "12345678901\r", "more" },
        { "PROXY UNKNOWN " FILL_80 "123456789012\r", "proxy_line" },
        /* not a line */
        { "PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\n" BEHIND, "proxy_line" },
        { "PROXY UNKNOWN\n", "proxy_line" },
        { "PROXY \n", "proxy_line" },
        { "PROXY \r\n", "proxy_line" },
        { "PROXY \r\n\r\n", "proxy_line" },
        /* words */
        { "PROXY TCP 192.0.2.7 203.0.113.1 1 2\r\n", "proxy_line" },
        { "PROXY TCP5 192.0.2.7 203.0.113.1 1 2\r\n", "proxy_line" },
        { "PROXY tcp4 192.0.2.7 203.0.113.1 1 2\r\n", "proxy_line" },
        { "PROXY UDP4 192.0.2.7 203.0.113.1 1 2\r\n", "proxy_line" },
        { "PROXY UNKNOWNS\r\n", "proxy_line" },
        { "PROXY TCP4\r\n", "proxy_line" },
        { "PROXY TCP4 192.0.2.7 203.0.113.1 1\r\n", "proxy_line" },
        { "PROXY TCP4 192.0.2.7 203.0.113.1 1 2 3\r\n", "proxy_line" },
        { "PROXY TCP4 192.0.2.7 203.0.113.1 1 2 \r\n", "proxy_line" },
        { "PROXY TCP4  192.0.2.7 203.0.113.1 1 2\r\n", "proxy_line" },
        { "PROXY  TCP4 192.0.2.7 203.0.113.1 1 2\r\n", "proxy_line" },
        { "PROXY\tTCP4 192.0.2.7 203.0.113.1 1 2\r\n", "proxy_signature" },
        { "PROXY TCP4 192.0.2.7\t203.0.113.1 1 2\r\n", "proxy_line" },
        /* addresses and ports */
        { "PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", "proxy_line" },
        { "PROXY TCP6 192.0.2.7 203.0.113.1 1 2\r\n", "proxy_line" },
        { "PROXY TCP4 192.0.2.7 2001:db8::1 1 2\r\n", "proxy_line" },
        { "PROXY TCP4 192.0.2.256 203.0.113.1 1 2\r\n", "proxy_line" },
        { "PROXY TCP4 192.0.02.7 203.0.113.1 1 2\r\n", "proxy_line" },
        { "PROXY TCP4 localhost 203.0.113.1 1 2\r\n", "proxy_line" },
        { "PROXY TCP4 192.0.2.7 203.0.113.1 65536 2\r\n", "proxy_line" },
        { "PROXY TCP4 192.0.2.7 203.0.113.1 1 65536\r\n", "proxy_line" },
        { "PROXY TCP4 192.0.2.7 203.0.113.1 01 2\r\n", "proxy_line" },
        { "PROXY TCP4 192.0.2.7 203.0.113.1 -1 2\r\n", "proxy_line" },
        { "PROXY TCP4 192.0.2.7 203.0.113.1 +1 2\r\n", "proxy_line" },
        { "PROXY TCP4 192.0.2.7 203.0.113.1 0x1 2\r\n", "proxy_line" },
        { "PROXY TCP4 192.0.2.7 203.0.113.1 1 2a\r\n", "proxy_line" },
        { "PROXY TCP4 192.0.2.7 203.0.113.1 1 \r\n", "proxy_line" },
        { "PROXY TCP6 [2001:db8::7] 2001:db8::1 1 2\r\n", "proxy_line" },
        { "PROXY TCP6 fe80::1%eth0 2001:db8::1 1 2\r\n", "proxy_line" },
        /* no header: said with the first wrong byte, not after a line */
        { "G", "proxy_signature" },
        { BEHIND, "proxy_signature" },
        { "PROXZ", "proxy_signature" },
        { "proxy TCP4 192.0.2.7 203.0.113.1 1 2\r\n", "proxy_signature" },
        { " PROXY TCP4 192.0.2.7 203.0.113.1 1 2\r\n", "proxy_signature" },
        { "\r\nPROXY TCP4 192.0.2.7 203.0.113.1 1 2\r\n", "proxy_signature" },
        { "\x16\x03\x01", "proxy_signature" },
        { "\r\n\r\nGET", "proxy_signature" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect(rows[i].line, span_of_text(rows[i].line), rows[i].saw);
}

/* ---- version 2 ---- */

struct block {
    size_t n;
    uint8_t bytes[8192];
};

static void put(struct block *b, const void *p, size_t n)
{
    assert_true(b->n + n <= sizeof(b->bytes));
    memcpy(b->bytes + b->n, p, n);
    b->n += n;
}

static void put_length(struct block *b, size_t at, size_t n)
{
    b->bytes[at] = (uint8_t)(n >> 8);
    b->bytes[at + 1] = (uint8_t)n;
}

/* Hex digits are bytes; what stands in '…' is text; blanks are nothing. */
static void put_words(struct block *b, const char *words)
{
    for (size_t i = 0; words[i] != '\0';) {
        unsigned byte;
        if (words[i] == ' ') {
            i++;
        } else if (words[i] == '\'') {
            size_t n = strcspn(words + i + 1, "'");
            put(b, words + i + 1, n);
            i += n + 2;
        } else {
            assert_int_equal(sscanf(words + i, "%2x", &byte), 1);
            put(b, &(uint8_t){ (uint8_t)byte }, 1);
            i += 2;
        }
    }
}

/* A header whose length is that of its block, and something behind it. */
static struct block header_of(const char *command_and_family, const char *words)
{
    struct block b = { .n = 0 };

    put(&b, "\r\n\r\n\0\r\nQUIT\n", 12);
    put_words(&b, command_and_family);
    put(&b, "\0\0", 2);
    put_words(&b, words);
    put_length(&b, 14, b.n - 16);
    return b;
}

static void expect_block(const char *command_and_family, const char *words, const char *saw)
{
    struct block b = header_of(command_and_family, words);
    char name[512];

    put(&b, BEHIND, sizeof(BEHIND) - 1);
    snprintf(name, sizeof(name), "%s %s", command_and_family, words);
    expect(name, span_of(b.bytes, b.n), saw);
}

#define V4 "c0000207 cb007101 dc04 01bb "
#define V4_SAW "v2 addresses 192.0.2.7:56324 > 203.0.113.1:443"
#define V6 "20010db8000000000000000000000007 20010db8000000000000000000000001 dc04 01bb "
#define UNIX_108 "'/run/a.sock' 00 0000000000000000000000000000000000000000000000000000000000000000 "                             \
    "0000000000000000000000000000000000000000000000000000000000000000 00000000000000000000000000000000000000000000000000000000 00000000"

static void v2_blocks(void **state)
{
    static const struct {
        const char *head, *words, *saw;
    } rows[] = {
        { "21 11", V4, "28 " V4_SAW },
        { "21 12", V4, "28 " V4_SAW },
        { "21 21", V6, "52 v2 addresses [2001:db8::7]:56324 > [2001:db8::1]:443" },
        { "21 22", V6, "52 v2 addresses [2001:db8::7]:56324 > [2001:db8::1]:443" },
        { "21 21", "00000000000000000000ffffc0000207 00000000000000000000ffffcb007101 dc04 01bb", "52 " V4_SAW },
        { "21 31", UNIX_108 UNIX_108, "232 v2 addresses unix: > unix:" },
        { "21 32", UNIX_108 UNIX_108, "232 v2 addresses unix: > unix:" },
        /* nobody is named, and nothing of the block is looked at */
        { "21 00", "", "16 v2 unknown" },
        { "21 00", "ff ff ff", "19 v2 unknown" },
        { "21 10", V4, "28 v2 unknown" },
        { "21 01", V4, "28 v2 unknown" },
        { "20 00", "", "16 v2 local" },
        { "20 11", V4, "28 v2 local" },
        { "20 11", "03 0004 00000000", "23 v2 local" },
        { "20 ff", "ff ff", "18 v2 local" },
        /* the block is shorter than its addresses */
        { "21 11", "", "proxy_length" },
        { "21 11", "c0000207 cb007101 dc04 01", "proxy_length" },
        { "21 21", V4, "proxy_length" },
        { "21 31", UNIX_108, "proxy_length" },
        /* versions, commands, families */
        { "11 11", V4, "proxy_version" },
        { "31 11", V4, "proxy_version" },
        { "01 11", V4, "proxy_version" },
        { "22 11", V4, "proxy_version" },
        { "2f 11", V4, "proxy_version" },
        { "21 41", V4, "proxy_family" },
        { "21 f1", V4, "proxy_family" },
        { "21 13", V4, "proxy_family" },
        { "21 1f", V4, "proxy_family" },
        { "21 03", "", "proxy_family" },
        { "21 40", "", "proxy_family" },
        /* TLVs */
        { "21 11", V4 "02 0007 'a.t.est'", "38 " V4_SAW " authority=a.t.est" },
        { "21 11", V4 "05 0003 'x-1'", "34 " V4_SAW " id=x-1" },
        { "21 11", V4 "05 0000", "31 " V4_SAW " id=" },
        { "21 11", V4 "04 0000", "31 " V4_SAW },
        { "21 11", V4 "04 0002 'no' 01 0002 'h2' 30 0002 'ns' e0 0000 ff 0001 00 02 0001 'a'", "54 " V4_SAW " authority=a" },
        { "21 21", V6 "02 0001 'a'", "56 v2 addresses [2001:db8::7]:56324 > [2001:db8::1]:443 authority=a" },
        { "21 31", UNIX_108 UNIX_108 "05 0001 'z'", "236 v2 addresses unix: > unix: id=z" },
        { "21 11", V4 "02", "proxy_tlv" },
        { "21 11", V4 "02 00", "proxy_tlv" },
        { "21 11", V4 "02 0001", "proxy_tlv" },
        { "21 11", V4 "02 0002 'a'", "proxy_tlv" },
        { "21 11", V4 "02 ffff 'a'", "proxy_tlv" },
        { "21 11", V4 "02 0001 'ab'", "proxy_tlv" },
        { "21 11", V4 "04 0000 00", "proxy_tlv" },
        /* TLS: client bits, verify, and what is within */
        { "21 11", V4 "20 0005 01 00000001", "36 " V4_SAW " tls" },
        { "21 11", V4 "20 0005 01 00000000", "36 " V4_SAW " tls" },          /* verified, but nothing was shown */
        { "21 11", V4 "20 0005 03 00000000", "36 " V4_SAW " tls certificate verified" },
        { "21 11", V4 "20 0005 05 00000000", "36 " V4_SAW " tls certificate verified" },
        { "21 11", V4 "20 0005 07 00000012", "36 " V4_SAW " tls certificate" },
        { "21 11", V4 "20 0005 00 00000000", "36 " V4_SAW },
        { "21 11", V4 "20 0029 07 00000000 21 0007 'TLSv1.3' 22 0005 'alice' 23 0004 'AES1' 24 0002 'RS' 25 0003 'EC2'",
          "72 " V4_SAW " tls certificate verified version=TLSv1.3 cipher=AES1 cn=alice" },
        { "21 11", V4 "20 0004 01 00000000", "proxy_tlv" },
        { "21 11", V4 "20 0000", "proxy_tlv" },
        { "21 11", V4 "20 0006 01 00000000 21", "proxy_tlv" },
        { "21 11", V4 "20 0009 01 00000000 21 0002 'a' 04 0000", "proxy_tlv" },      /* reaches beyond its parent */
        { "21 11", V4 "20 0005 01 00000000 22 0001 'a'", "40 " V4_SAW " tls" },      /* outside of it, it means nothing */
        /* CRC32C */
        { "21 11", V4 "03 0004 60691497", "35 " V4_SAW },
        { "21 11", V4 "03 0004 60691496", "proxy_checksum" },
        { "21 11", V4 "03 0004 00000000", "proxy_checksum" },
        { "21 11", "c0000208 cb007101 dc04 01bb 03 0004 60691497", "proxy_checksum" },
        { "21 11", V4 "03 0003 606914", "proxy_tlv" },
        { "21 11", V4 "03 0005 60691497 00", "proxy_tlv" },
        { "21 11", V4 "03 0000", "proxy_tlv" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        expect_block(rows[i].head, rows[i].words, rows[i].saw);
}

/* The checksum covers what stands before and behind it. */
static void v2_checksum_of_all(void **state)
{
    struct block b = header_of("21 11", V4 "02 0003 'abc' 03 0004 00000000 05 0002 'id'");
    uint32_t crc = UINT32_MAX;
    struct proxy_header h;
    size_t at = 16 + 12 + 6 + 3;

    (void)state;
    for (size_t i = 0; i < b.n; i++) {   /* bit by bit, from the polynomial of RFC 3720 appendix B.4 */
        for (int bit = 0; bit < 8; bit++) {
            uint32_t in = (uint32_t)(b.bytes[i] >> bit & 1);
            crc = (crc >> 1) ^ ((crc ^ in) & 1 ? UINT32_C(0x82f63b78) : 0);
        }
    }
    for (int i = 0; i < 4; i++)
        b.bytes[at + (size_t)i] = (uint8_t)(~crc >> (24 - 8 * i));
    assert_int_equal(proxy_header_read(b.bytes, b.n, &h), (int)b.n);
    for (size_t i = 16; i < b.n; i++) {  /* one bit anywhere makes it wrong, or makes it no TLV */
        b.bytes[i] ^= 0x10;
        assert_true(proxy_header_read(b.bytes, b.n, &h) <= 0 || i == 34);
        b.bytes[i] ^= 0x10;
    }
}

/* The length alone decides, before a byte of the block is there. */
static void v2_too_long(void **state)
{
    struct block b = header_of("21 11", V4);
    struct proxy_header h;

    (void)state;
    put_length(&b, 14, PROXY_HEADER_V2_BYTES - 16);
    assert_int_equal(proxy_header_read(b.bytes, 16, &h), 0);
    put_length(&b, 14, PROXY_HEADER_V2_BYTES - 16 + 1);
    assert_int_equal(proxy_header_read(b.bytes, 15, &h), 0);
    assert_int_equal(proxy_header_read(b.bytes, 16, &h), -FAULT_PROXY_TOO_LONG);
    put_length(&b, 14, 65535);
    assert_int_equal(proxy_header_read(b.bytes, 16, &h), -FAULT_PROXY_TOO_LONG);
}

/* A header that fills the bound; an id that is one byte too long. */
static void v2_longest(void **state)
{
    struct block b = header_of("21 11", V4 "28 0000");
    struct proxy_header h;
    uint8_t zeros[PROXY_HEADER_V2_BYTES] = { 0 };

    (void)state;
    put_length(&b, b.n - 2, PROXY_HEADER_V2_BYTES - b.n);
    put(&b, zeros, PROXY_HEADER_V2_BYTES - b.n);
    put_length(&b, 14, b.n - 16);
    for (size_t n = 0; n < b.n; n++)
        assert_int_equal(proxy_header_read(b.bytes, n, &h), 0);
    assert_int_equal(proxy_header_read(b.bytes, b.n, &h), PROXY_HEADER_V2_BYTES);

    for (size_t n = 128; n <= 129; n++) {
        b = header_of("21 11", V4 "05 0000");
        put_length(&b, b.n - 2, n);
        put(&b, zeros, n);
        put_length(&b, 14, b.n - 16);
        assert_int_equal(proxy_header_read(b.bytes, b.n, &h), n == 128 ? (int)b.n : -FAULT_PROXY_TLV);
    }
}

/* ---- written ---- */

static struct net_address address(const char *text, unsigned port)
{
    struct net_address a = { .family = NET_UNKNOWN };

    if (strcmp(text, "unix") == 0)
        a.family = NET_UNIX;
    else if (strcmp(text, "unknown") != 0)
        assert_true(net_address_parse(span_of_text(text), &a));
    a.port = a.family == NET_IP4 || a.family == NET_IP6 ? port : 0;
    return a;
}

static void written_reads_back(void **state)
{
    static const struct {
        enum proxy_header_kind kind;
        const char *source, *destination;
        const char *v1;                  /* as it is written */
        const char *v2;                  /* as it reads back */
    } rows[] = {
        { PROXY_HEADER_ADDRESSES, "192.0.2.7", "203.0.113.1", "PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r\n",
          "28 v2 addresses 192.0.2.7:56324 > 203.0.113.1:443" },
        { PROXY_HEADER_ADDRESSES, "2001:db8::7", "2001:db8::1", "PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n",
          "52 v2 addresses [2001:db8::7]:56324 > [2001:db8::1]:443" },
        { PROXY_HEADER_ADDRESSES, "192.0.2.7", "2001:db8::1", "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 56324 443\r\n",
          "52 v2 addresses 192.0.2.7:56324 > [2001:db8::1]:443" },
        { PROXY_HEADER_ADDRESSES, "2001:db8::7", "203.0.113.1", "PROXY TCP6 2001:db8::7 ::ffff:203.0.113.1 56324 443\r\n",
          "52 v2 addresses [2001:db8::7]:56324 > 203.0.113.1:443" },
        { PROXY_HEADER_ADDRESSES, "192.0.2.7", "unix", "PROXY TCP4 192.0.2.7 0.0.0.0 56324 0\r\n",
          "28 v2 addresses 192.0.2.7:56324 > 0.0.0.0" },
        { PROXY_HEADER_ADDRESSES, "2001:db8::7", "unknown", "PROXY TCP6 2001:db8::7 :: 56324 0\r\n",
          "52 v2 addresses [2001:db8::7]:56324 > [::]" },
        { PROXY_HEADER_ADDRESSES, "unix", "203.0.113.1", "PROXY UNKNOWN\r\n", "16 v2 unknown" },
        { PROXY_HEADER_ADDRESSES, "unknown", "unix", "PROXY UNKNOWN\r\n", "16 v2 unknown" },
        { PROXY_HEADER_UNKNOWN, "192.0.2.7", "203.0.113.1", "PROXY UNKNOWN\r\n", "16 v2 unknown" },
        { PROXY_HEADER_LOCAL, "192.0.2.7", "203.0.113.1", "PROXY UNKNOWN\r\n", "16 v2 local" },
    };
    uint8_t out[PROXY_HEADER_WRITE_BYTES];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct proxy_header h = { .version = 1, .kind = rows[i].kind, .source = address(rows[i].source, 56324),
                                  .destination = address(rows[i].destination, 443) };
        size_t n = proxy_header_write(&h, out);
        if (n != strlen(rows[i].v1) || memcmp(out, rows[i].v1, n) != 0)
            fail_msg("`%.*s` instead of `%s`", (int)n, (const char *)out, rows[i].v1);
        h.version = 2;
        expect(rows[i].v1, span_of(out, proxy_header_write(&h, out)), rows[i].v2);
    }
}

/* The longest of everything fits; what is longer than its bound is left out. */
static void written_with_tls(void **state)
{
    static char longest[PROXY_HEADER_VALUE_BYTES + 1];
    struct span whole = span_of(longest, PROXY_HEADER_VALUE_BYTES), over = span_of(longest, sizeof(longest));
    struct proxy_header h = { .version = 2, .kind = PROXY_HEADER_ADDRESSES, .source = address("2001:db8::7", 1), .has_tls = true,
                              .destination = address("2001:db8::1", 2), .authority = SPAN_LITERAL("a.test") }, back;
    uint8_t out[PROXY_HEADER_WRITE_BYTES];

    (void)state;
    memset(longest, 'n', sizeof(longest));
    expect("tls", span_of(out, proxy_header_write(&h, out)),
           "69 v2 addresses [2001:db8::7]:1 > [2001:db8::1]:2 authority=a.test tls");
    h.tls = (struct proxy_header_tls){ .certificate = true, .version = SPAN_LITERAL("TLSv1.2"), .cipher = SPAN_LITERAL("C") };
    expect("tls, a bad certificate", span_of(out, proxy_header_write(&h, out)),
           "83 v2 addresses [2001:db8::7]:1 > [2001:db8::1]:2 authority=a.test tls certificate version=TLSv1.2 cipher=C");
    h.authority = h.tls.version = h.tls.cipher = h.tls.common_name = whole;
    h.tls.verified = true;
    assert_int_equal(proxy_header_read(out, proxy_header_write(&h, out), &back), 52 + 3 + 5 + 4 * (3 + PROXY_HEADER_VALUE_BYTES));
    assert_true(back.tls.verified && span_equal(back.tls.common_name, whole) && span_equal(back.authority, whole));
    h.authority = h.tls.version = h.tls.cipher = h.tls.common_name = over;
    assert_int_equal(proxy_header_read(out, proxy_header_write(&h, out), &back), 52 + 3 + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v1_lines),
        cmocka_unit_test(v2_blocks),
        cmocka_unit_test(v2_checksum_of_all),
        cmocka_unit_test(v2_too_long),
        cmocka_unit_test(v2_longest),
        cmocka_unit_test(written_reads_back),
        cmocka_unit_test(written_with_tls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
