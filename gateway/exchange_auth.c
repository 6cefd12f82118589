/* Who sends a request: the route's way of finding out, before anybody hears of it. Basic authentication is done here (RFC 7617); an application
 * is asked in exchange_ask.c.
 *
 * What goes wrong, in the order in which it happens: no credentials, or none that can be read (401), too many are being checked already (503),
 * wrong ones (401), the check takes too long (504). */
#include "gateway/exchange_parts.h"
#include "protocol/base64.h"
#include "protocol/token.h"

#include <string.h>

#define CREDENTIALS_BYTES_MAX 2048       /* in base64; more than any name and password that are possible */

static void give_up(struct exchange *x, enum end_reason why)
{
    exchange_give_up(x, why, FAULT_NONE, end_reason_status(why));
}

/* RFC 9110 section 11.4: auth-scheme 1*SP token68, the scheme without case. */
static struct span token_of(const struct exchange *x)
{
    const struct span name = SPAN_LITERAL("authorization");
    struct span value = headers_value(&x->head->fields, name);

    if (headers_count(&x->head->fields, name) != 1 || value.n < 6 || value.n > CREDENTIALS_BYTES_MAX ||
        !span_equal_nocase(span_first(value, 6), SPAN_LITERAL("basic ")))
        return SPAN_EMPTY;
    return token_trim(span_from(value, 6));
}

/* RFC 7617 section 2: user-id ":" password, no control characters in either. */
static bool read_credentials(struct exchange *x, struct span *user_out, struct span *password_out)
{
    struct span token = token_of(x), text;
    uint8_t *p = token.n > 0 ? arena_alloc(&x->arena, token.n) : NULL;
    int n = p != NULL ? base64_decode(token, p) : -1;
    size_t colon;

    if (n <= 0)
        return false;
    text = span_of(p, (size_t)n);
    colon = span_find(text, ':');
    *user_out = span_first(text, colon);
    *password_out = span_from(text, colon + 1);
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x20 || text.p[i] == 0x7f)
            return false;
    return colon < text.n;
}

/* Of nobody but the gateway comes the field that says who it is. */
static bool grant(struct exchange *x)
{
    const struct conf_auth_basic *basic = &x->route->auth.basic;
    struct field *told;

    if (basic->user_field == NULL)
        return true;
    told = arena_alloc(&x->arena, sizeof(*told));
    if (told == NULL)
        return false;
    *told = (struct field){ span_of_text(basic->user_field), x->user };
    x->granted = (struct rules_changes){ .set = told, .set_n = 1, .next = &x->route->headers.request };
    if (x->told.next != NULL)            /* what is told of TLS stands in front */
        x->told.next = &x->granted;
    return true;
}

static void decide(struct exchange *x, bool good)
{
    if (!good)
        give_up(x, END_UNAUTHORIZED);
    else if (!grant(x))
        give_up(x, END_NO_MEMORY);
    else
        exchange_go_on(x);
}

static void on_checked(void *ctx, bool good)
{
    struct exchange *x = ctx;

    x->check = NULL;
    if (!good)
        x->user = SPAN_EMPTY;
    decide(x, good);
}

static void ask_for_password(struct exchange *x)
{
    const struct passwords *among = passwords_of(x->snapshot->generation->passwords, x->snapshot->conf, x->route);
    struct span password;
    enum credentials_verdict verdict = CREDENTIALS_WRONG;

    if (read_credentials(x, &x->user, &password))
        verdict = credentials_ask(x->services->credentials, among, x->user, password, on_checked, x, &x->check);
    if (verdict == CREDENTIALS_ASKED) {
        exchange_await(x);
        return;
    }
    if (verdict != CREDENTIALS_GOOD)
        x->user = SPAN_EMPTY;
    if (verdict == CREDENTIALS_BUSY)
        give_up(x, END_AUTH_BUSY);
    else if (verdict == CREDENTIALS_NO_MEMORY)
        give_up(x, END_NO_MEMORY);
    else
        decide(x, verdict == CREDENTIALS_GOOD);
}

void exchange_authenticate(struct exchange *x)
{
    if (x->route->auth.basic_on)
        ask_for_password(x);
    else if (x->route->auth.forward_on)
        exchange_ask(x);
    else
        exchange_go_on(x);
}
