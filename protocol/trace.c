#include "protocol/trace.h"

#include <string.h>

static uint64_t random64(struct trace_ids *ids)
{
    uint64_t n = ids->n++;

    return siphash(&ids->key, span_of(&n, sizeof(n)));
}

#define EACH(byte) ((uint64_t)0x0101010101010101u * (byte))

/* The eight digits of a value: its four-bit pieces are spread, the last into the highest byte; from 10 on they are letters. */
static void put_hex8(uint32_t value, char out[8])
{
    uint64_t w = value, letters;

    w = (w << 32 | w >> 16) & UINT64_C(0x0000ffff0000ffff);
    w = (w << 16 | w >> 8) & UINT64_C(0x00ff00ff00ff00ff);
    w = (w << 8 | w >> 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    letters = (w + EACH(6)) >> 4 & EACH(1);
    w += EACH('0') + letters * ('a' - '0' - 10);
    memcpy(out, (const char[8]){ (char)w, (char)(w >> 8), (char)(w >> 16), (char)(w >> 24), (char)(w >> 32), (char)(w >> 40), (char)(w >> 48),
                                 (char)(w >> 56) }, 8);
}

static void put_hex(uint64_t value, char out[16])
{
    put_hex8((uint32_t)(value >> 32), out);
    put_hex8((uint32_t)value, out + 8);
}

void trace_ids_next(struct trace_ids *ids, char out[TRACE_ID_BYTES])
{
    uint64_t high = random64(ids);

    put_hex(high != 0 ? high : 1, out);  /* all zero is no trace id */
    put_hex(random64(ids), out + 16);
}

bool trace_request_id_good(struct span id)
{
    if (id.n == 0 || id.n > TRACE_REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] <= ' ' || id.p[i] >= 0x7f)
            return false;
    return true;
}

static bool is_hex(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return true;
}

static bool is_zero(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '0')
            return false;
    return true;
}

static struct span part(struct span value, size_t at, size_t n)
{
    return span_of(value.p + at, n);
}

/* Sections 3.2.1 to 3.2.2.5: version "-" trace-id "-" parent-id "-" flags. Version ff is forbidden; ids of zeros are none; what follows the
 * flags in a later version begins with a dash. */
struct span trace_parent_read(struct span value)
{
    struct span version, trace, parent, flags;

    if (value.n < TRACE_PARENT_BYTES || value.p[2] != '-' || value.p[35] != '-' || value.p[52] != '-')
        return SPAN_EMPTY;
    version = part(value, 0, 2);
    trace = part(value, 3, 32);
    parent = part(value, 36, 16);
    flags = part(value, 53, 2);
    if (!is_hex(version) || !is_hex(trace) || !is_hex(parent) || !is_hex(flags) || is_zero(trace) || is_zero(parent))
        return SPAN_EMPTY;
    if (span_equal(version, SPAN_LITERAL("ff")))
        return SPAN_EMPTY;
    if (value.n > TRACE_PARENT_BYTES && (is_zero(version) || value.p[TRACE_PARENT_BYTES] != '-'))
        return SPAN_EMPTY;
    return trace;
}

void trace_parent_begin(struct trace_ids *ids, const char trace_id[TRACE_ID_BYTES], char out[TRACE_PARENT_BYTES])
{
    uint64_t parent = random64(ids);

    memcpy(out, "00-", 3);
    memcpy(out + 3, trace_id, TRACE_ID_BYTES);
    out[35] = '-';
    put_hex(parent != 0 ? parent : 1, out + 36);
    memcpy(out + 52, "-01", 3);
}
