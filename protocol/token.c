#include "protocol/token.h"

#include <string.h>

/* One byte of classes for each of the 256 bytes. */
enum { TCHAR = 1, VALUE = 2, OWS = 4 };

/* RFC 9110 section 5.6.2: tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~"
 *                               / DIGIT / ALPHA
 * RFC 9110 section 5.5: field values are made of HTAB, SP, VCHAR and obs-text (%x80-FF). */
#define T (TCHAR | VALUE)
#define V VALUE
static const uint8_t classes[256] = {
    ['\t'] = VALUE | OWS, [' '] = VALUE | OWS,
    ['!'] = T, ['"'] = V, ['#'] = T, ['$'] = T, ['%'] = T, ['&'] = T, ['\''] = T, ['('] = V, [')'] = V, ['*'] = T, ['+'] = T,
    [','] = V, ['-'] = T, ['.'] = T, ['/'] = V, ['0'] = T, ['1'] = T, ['2'] = T, ['3'] = T, ['4'] = T, ['5'] = T, ['6'] = T,
    ['7'] = T, ['8'] = T, ['9'] = T, [':'] = V, [';'] = V, ['<'] = V, ['='] = V, ['>'] = V, ['?'] = V, ['@'] = V,
    ['A'] = T, ['B'] = T, ['C'] = T, ['D'] = T, ['E'] = T, ['F'] = T, ['G'] = T, ['H'] = T, ['I'] = T, ['J'] = T, ['K'] = T,
    ['L'] = T, ['M'] = T, ['N'] = T, ['O'] = T, ['P'] = T, ['Q'] = T, ['R'] = T, ['S'] = T, ['T'] = T, ['U'] = T, ['V'] = T,
    ['W'] = T, ['X'] = T, ['Y'] = T, ['Z'] = T, ['['] = V, ['\\'] = V, [']'] = V, ['^'] = T, ['_'] = T, ['`'] = T,
    ['a'] = T, ['b'] = T, ['c'] = T, ['d'] = T, ['e'] = T, ['f'] = T, ['g'] = T, ['h'] = T, ['i'] = T, ['j'] = T, ['k'] = T,
    ['l'] = T, ['m'] = T, ['n'] = T, ['o'] = T, ['p'] = T, ['q'] = T, ['r'] = T, ['s'] = T, ['t'] = T, ['u'] = T, ['v'] = T,
    ['w'] = T, ['x'] = T, ['y'] = T, ['z'] = T, ['{'] = V, ['|'] = T, ['}'] = V, ['~'] = T,
#define V4(b) [b] = V, [(b) + 1] = V, [(b) + 2] = V, [(b) + 3] = V
#define V16(b) V4(b), V4((b) + 4), V4((b) + 8), V4((b) + 12)
    V16(0x80), V16(0x90), V16(0xa0), V16(0xb0), V16(0xc0), V16(0xd0), V16(0xe0), V16(0xf0),
};

bool token_is_tchar(uint8_t c)
{
    return (classes[c] & TCHAR) != 0;
}

static inline size_t leading(struct span s, uint8_t class)
{
    size_t i = 0;

    while (i < s.n && (classes[s.p[i]] & class) != 0)
        i++;
    return i;
}

#define EACH(byte) ((uint64_t)0x0101010101010101u * (byte))

/* Of eight bytes a bit for the first that is below 0x20 or 0x7f (and perhaps for others behind it); 0: there is none. */
static inline uint64_t odd_ones(const uint8_t *p)
{
    uint64_t w = span_word(p), no_7f = w ^ EACH(0x7f);

    return ((w - EACH(0x20)) & ~w & EACH(0x80)) | ((no_7f - EACH(0x01)) & ~no_7f & EACH(0x80));
}

/* Eight bytes at once, up to one that is to be looked at singly: a tab may stand in a value. The last eight may overlap those before. */
static size_t leading_value(struct span s)
{
    uint64_t odd = 0;
    size_t i = 0;

    while (s.n - i >= 8 && (odd = odd_ones(s.p + i)) == 0)
        i += 8;
    if (odd != 0)
        i += (size_t)__builtin_ctzll(odd) / 8;
    else if (s.n >= 8 && odd_ones(s.p + s.n - 8) == 0)
        return s.n;
    return i + leading(span_from(s, i), VALUE);
}

/* Names are short: one look at eight bytes, and the rest singly. */
static size_t leading_tchars(struct span s)
{
    const uint8_t *p = s.p;
    size_t i = 0;

    while (s.n - i >= 8 && (classes[p[i]] & classes[p[i + 1]] & classes[p[i + 2]] & classes[p[i + 3]] & classes[p[i + 4]] &
                            classes[p[i + 5]] & classes[p[i + 6]] & classes[p[i + 7]] & TCHAR) != 0)
        i += 8;
    return i + leading(span_from(s, i), TCHAR);
}

size_t token_tchars(struct span s)
{
    return leading_tchars(s);
}

size_t token_value_bytes(struct span s)
{
    return leading_value(s);
}

bool token_is_token(struct span s)
{
    return s.n > 0 && leading_tchars(s) == s.n;
}

bool token_is_field_value(struct span s)
{
    return leading_value(s) == s.n;
}

struct span token_trim(struct span s)
{
    while (s.n > 0 && (classes[s.p[0]] & OWS) != 0)
        s = (struct span){ s.p + 1, s.n - 1 };
    while (s.n > 0 && (classes[s.p[s.n - 1]] & OWS) != 0)
        s.n--;
    return s;
}

/* RFC 9110 section 5.6.4: quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE; inner is what lies between the quotes. */
static bool unquote(struct span inner, uint8_t *out, size_t *n_out)
{
    size_t n = 0;

    for (size_t i = 0; i < inner.n; i++) {
        if (inner.p[i] == '"')
            return false;
        if (inner.p[i] == '\\' && ++i == inner.n)
            return false;
        if ((classes[inner.p[i]] & VALUE) == 0)
            return false;
        out[n++] = inner.p[i];
    }
    *n_out = n;
    return true;
}

bool token_unquote(struct span s, uint8_t *out, size_t *n_out)
{
    if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
        return unquote(span_of(s.p + 1, s.n - 2), out, n_out);
    if (!token_is_token(s))
        return false;
    for (size_t i = 0; i < s.n; i++)
        out[i] = s.p[i];
    *n_out = s.n;
    return true;
}
