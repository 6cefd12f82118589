#include "protocol/token.h"
#include "protocol/token_runs.h"

#include <string.h>

/* One byte of classes for each of the 256 bytes. */
enum { TCHAR = 1, VALUE = 2, OWS = 4, PLAIN = 8 };     /* plain: what host names and most field names are made of */

/* RFC 9110 section 5.6.2: tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~"
 *                               / DIGIT / ALPHA
 * RFC 9110 section 5.5: field values are made of HTAB, SP, VCHAR and obs-text (%x80-FF). */
#define P (PLAIN | TCHAR | VALUE)
#define T (TCHAR | VALUE)
#define V VALUE
static const uint8_t classes[256] = {
    ['\t'] = VALUE | OWS, [' '] = VALUE | OWS,
    ['!'] = T, ['"'] = V, ['#'] = T, ['$'] = T, ['%'] = T, ['&'] = T, ['\''] = T, ['('] = V, [')'] = V, ['*'] = T, ['+'] = T,
    [','] = V, ['-'] = P, ['.'] = T, ['/'] = V, ['0'] = P, ['1'] = P, ['2'] = P, ['3'] = P, ['4'] = P, ['5'] = P, ['6'] = P,
    ['7'] = P, ['8'] = P, ['9'] = P, [':'] = V, [';'] = V, ['<'] = V, ['='] = V, ['>'] = V, ['?'] = V, ['@'] = V,
    ['A'] = P, ['B'] = P, ['C'] = P, ['D'] = P, ['E'] = P, ['F'] = P, ['G'] = P, ['H'] = P, ['I'] = P, ['J'] = P, ['K'] = P,
    ['L'] = P, ['M'] = P, ['N'] = P, ['O'] = P, ['P'] = P, ['Q'] = P, ['R'] = P, ['S'] = P, ['T'] = P, ['U'] = P, ['V'] = P,
    ['W'] = P, ['X'] = P, ['Y'] = P, ['Z'] = P, ['['] = V, ['\\'] = V, [']'] = V, ['^'] = T, ['_'] = T, ['`'] = T,
    ['a'] = P, ['b'] = P, ['c'] = P, ['d'] = P, ['e'] = P, ['f'] = P, ['g'] = P, ['h'] = P, ['i'] = P, ['j'] = P, ['k'] = P,
    ['l'] = P, ['m'] = P, ['n'] = P, ['o'] = P, ['p'] = P, ['q'] = P, ['r'] = P, ['s'] = P, ['t'] = P, ['u'] = P, ['v'] = P,
    ['w'] = P, ['x'] = P, ['y'] = P, ['z'] = P, ['{'] = V, ['|'] = T, ['}'] = V, ['~'] = T,
#define V4(b) [b] = V, [(b) + 1] = V, [(b) + 2] = V, [(b) + 3] = V
#define V16(b) V4(b), V4((b) + 4), V4((b) + 8), V4((b) + 12)
    V16(0x80), V16(0x90), V16(0xa0), V16(0xb0), V16(0xc0), V16(0xd0), V16(0xe0), V16(0xf0),
};

bool token_is_tchar(uint8_t c)
{
    return (classes[c] & TCHAR) != 0;
}

bool token_is_plain(uint8_t c)
{
    return (classes[c] & PLAIN) != 0;
}

/* From the i-th on. */
static inline size_t leading(struct span s, size_t i, uint8_t class)
{
    while (i < s.n && (classes[s.p[i]] & class) != 0)
        i++;
    return i;
}

/* Nearly always a run is all of it, and the table only says that what ended it is odd. */
static size_t leading_value(struct span s)
{
    return leading(s, token_run_values(s), VALUE);
}

static size_t leading_tchars(struct span s)
{
    return leading(s, token_run_letters(s), TCHAR);
}

size_t token_plain(struct span s)
{
    return leading(s, token_run_letters(s), PLAIN);
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
