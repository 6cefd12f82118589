/* What is answered without a server, because the configuration says so: a place elsewhere, or a text. */
#include "gateway/exchange_parts.h"

#include <stdio.h>
#include <string.h>

/* RFC 9110 section 15.4.9. The port is not taken over: it is the one of clear text. */
enum fault exchange_point_to_https(struct exchange *x)
{
    struct span host = x->rules.host.host, path = x->rules.target.path_and_query;
    bool asterisk = x->rules.target.form == TARGET_ASTERISK;
    size_t room = sizeof("https://") + host.n + path.n;
    char *text = arena_alloc(&x->arena, room);

    if (host.n == 0)
        return FAULT_HOST;               /* HTTP/1.0 without Host: nobody can say where to */
    if (text == NULL)
        return FAULT_NO_MEMORY;
    x->location = span_of(text, (size_t)snprintf(text, room, "https://%.*s%.*s", SPAN_FORMAT(host), SPAN_FORMAT(asterisk ? SPAN_EMPTY : path)));
    return FAULT_NONE;
}

/* What stands at the beginning of `to`, and how much of `to` that is. */
static struct span next_piece(const struct exchange *x, struct span to, size_t *n_out)
{
    bool asterisk = x->rules.target.form == TARGET_ASTERISK;

    if (span_starts_with(to, SPAN_LITERAL("{host}"))) {
        *n_out = sizeof("{host}") - 1;
        return x->rules.host.host;
    }
    if (span_starts_with(to, SPAN_LITERAL("{uri}"))) {
        *n_out = sizeof("{uri}") - 1;
        return asterisk ? SPAN_EMPTY : x->asked_target;
    }
    *n_out = to.n > 1 ? 1 + span_find(span_from(to, 1), '{') : 1;
    return span_first(to, *n_out);
}

static enum fault point_elsewhere(struct exchange *x)
{
    struct span to = span_of_text(x->route->redirect.to), piece;
    bool needs_host = strstr(x->route->redirect.to, "{host}") != NULL;
    size_t room = 0, step;
    uint8_t *text;

    if (needs_host && x->rules.host.host.n == 0)
        return FAULT_HOST;
    for (struct span rest = to; rest.n > 0; rest = span_from(rest, step))
        room += next_piece(x, rest, &step).n;
    text = arena_alloc(&x->arena, room);
    if (text == NULL)
        return FAULT_NO_MEMORY;
    x->location = span_of(text, 0);
    for (struct span rest = to; rest.n > 0; rest = span_from(rest, step)) {
        piece = next_piece(x, rest, &step);
        if (piece.n > 0)
            memcpy(text + x->location.n, piece.p, piece.n);
        x->location.n += piece.n;
    }
    return FAULT_NONE;
}

void exchange_act(struct exchange *x)
{
    enum fault fault = x->route->redirect_on ? point_elsewhere(x) : FAULT_NONE;

    if (fault != FAULT_NONE)
        exchange_refuse(x, fault);
    else if (x->route->redirect_on)
        exchange_give_up(x, END_REDIRECTED, FAULT_NONE, x->route->redirect.status);
    else
        exchange_give_up(x, END_RESPONDED, FAULT_NONE, x->route->respond.status);
}
