/* ws_extensions: a member is its name and its parameters; parameters are read off the front one by one.
 *
 * What can be wrong: the grammar; then, for permessage-deflate, a name, a repetition, a value. */
#include "protocol/ws_extensions.h"
#include "protocol/token.h"

#define WINDOW_BITS_LEAST 8
#define WINDOW_BITS_MOST 15
#define BITS_TEXT_MAX 8                  /* "15", and the longest way to quote and escape it: "\1\5" with its quotes */

static struct span skip_whitespace(struct span s)
{
    size_t i = 0;

    while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\t'))
        i++;
    return span_from(s, i);
}

static struct span take_token(struct span *rest)
{
    struct span token = { rest->p, 0 };

    while (token.n < rest->n && token_is_tchar(rest->p[token.n]))
        token.n++;
    *rest = span_from(*rest, token.n);
    return token;
}

/* RFC 6455 section 9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF". Empty when it does not. */
static struct span take_quoted_token(struct span *rest)
{
    struct span s = *rest;
    size_t i = 1, characters = 0;

    while (i < s.n && s.p[i] != '"') {
        if (s.p[i] == '\\')
            i++;
        if (i >= s.n || !token_is_tchar(s.p[i]))
            return SPAN_EMPTY;
        i++;
        characters++;
    }
    if (i >= s.n || characters == 0)
        return SPAN_EMPTY;
    *rest = span_from(s, i + 1);
    return span_first(s, i + 1);
}

bool ws_parameter_next(struct span *rest, struct ws_parameter *out)
{
    struct span s = skip_whitespace(*rest);

    *out = (struct ws_parameter){ .has_value = false };
    if (s.n == 0 || s.p[0] != ';')
        return false;
    s = skip_whitespace(span_from(s, 1));
    out->name = take_token(&s);
    if (out->name.n == 0)
        return false;
    s = skip_whitespace(s);
    if (s.n > 0 && s.p[0] == '=') {
        s = skip_whitespace(span_from(s, 1));
        out->has_value = true;
        out->value = s.n > 0 && s.p[0] == '"' ? take_quoted_token(&s) : take_token(&s);
        if (out->value.n == 0)
            return false;
        s = skip_whitespace(s);
    }
    *rest = s;
    return true;
}

bool ws_extension_read(struct span member, struct ws_extension *out)
{
    struct span rest = member;
    struct ws_parameter parameter;

    out->name = take_token(&rest);
    rest = skip_whitespace(rest);
    out->parameters = rest;
    while (ws_parameter_next(&rest, &parameter))
        continue;
    return out->name.n > 0 && rest.n == 0;
}

bool ws_extension_is_deflate(const struct ws_extension *e)
{
    return span_equal(e->name, SPAN_LITERAL("permessage-deflate"));
}

/* RFC 7692 sections 7.1.2.1 and 7.1.2.2: a decimal integer from 8 to 15 without leading zeroes. 0 for anything else. */
static unsigned window_bits(const struct ws_parameter *parameter)
{
    uint8_t text[BITS_TEXT_MAX];
    size_t n;
    uint64_t bits;

    if (parameter->value.n > sizeof(text) || !token_unquote(parameter->value, text, &n))
        return 0;
    if (n == 0 || text[0] == '0' || !span_to_u64(span_of(text, n), &bits))
        return 0;
    return bits >= WINDOW_BITS_LEAST && bits <= WINDOW_BITS_MOST ? (unsigned)bits : 0;
}

static bool read_flag(const struct ws_parameter *parameter, bool *flag)
{
    if (*flag || parameter->has_value)
        return false;
    *flag = true;
    return true;
}

static bool read_server_bits(const struct ws_parameter *parameter, struct ws_deflate *out)
{
    if (out->server_max_window_bits != 0)
        return false;
    out->server_max_window_bits = window_bits(parameter);
    return out->server_max_window_bits != 0;
}

/* Section 7.1.2.2: an offer may leave the value out, an answer may not. */
static bool read_client_bits(const struct ws_parameter *parameter, bool answer, struct ws_deflate *out)
{
    if (out->client_max_window_bits_given)
        return false;
    out->client_max_window_bits_given = true;
    if (!parameter->has_value)
        return !answer;
    out->client_max_window_bits = window_bits(parameter);
    return out->client_max_window_bits != 0;
}

static bool read_parameter(const struct ws_parameter *parameter, bool answer, struct ws_deflate *out)
{
    if (span_equal(parameter->name, SPAN_LITERAL("server_no_context_takeover")))
        return read_flag(parameter, &out->server_no_context_takeover);
    if (span_equal(parameter->name, SPAN_LITERAL("client_no_context_takeover")))
        return read_flag(parameter, &out->client_no_context_takeover);
    if (span_equal(parameter->name, SPAN_LITERAL("server_max_window_bits")))
        return read_server_bits(parameter, out);
    if (span_equal(parameter->name, SPAN_LITERAL("client_max_window_bits")))
        return read_client_bits(parameter, answer, out);
    return false;
}

static bool read_deflate(const struct ws_extension *e, bool answer, struct ws_deflate *out)
{
    struct span rest = e->parameters;
    struct ws_parameter parameter;

    *out = (struct ws_deflate){ .server_max_window_bits = 0 };
    while (ws_parameter_next(&rest, &parameter))
        if (!read_parameter(&parameter, answer, out))
            return false;
    return true;
}

bool ws_deflate_read_offer(const struct ws_extension *e, struct ws_deflate *out)
{
    return read_deflate(e, false, out);
}

bool ws_deflate_read_answer(const struct ws_extension *e, struct ws_deflate *out)
{
    return read_deflate(e, true, out);
}

/* An offered limit has to be answered with the same or a smaller one. */
static bool limit_is_kept(unsigned offered, unsigned answered)
{
    return offered == 0 || (answered != 0 && answered <= offered);
}

/* test_ws_handshake.c: deflate_answers */
bool ws_deflate_fits(const struct ws_deflate *offer, const struct ws_deflate *answer)
{
    /* RFC 7692 section 7.1.1.1: the server accepts this parameter by including it in the answer. */
    if (offer->server_no_context_takeover && !answer->server_no_context_takeover)
        return false;
    /* Section 7.1.2.1: accepted by including it "with the same or smaller value". */
    if (!limit_is_kept(offer->server_max_window_bits, answer->server_max_window_bits))
        return false;
    /* Section 7.1.2.2: not in the answer unless it was offered; it may be ignored; the offered value is the largest. */
    if (!answer->client_max_window_bits_given)
        return true;
    return offer->client_max_window_bits_given && limit_is_kept(offer->client_max_window_bits, answer->client_max_window_bits);
}
