/* What comes: decrypted into the loop's scratch buffer, where the owner sees it; what he leaves is kept. */
#include "gateway/stream_tls_parts.h"
#include "gateway/tls_sessions.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define LITTLE_BYTES 256                 /* left unread: copied in front of what is decrypted next, not kept apart */

/* The stream below ended, and nothing is left of it. */
static void below_ended(struct stream_tls *s)
{
    if (s->below->input == STREAM_EOF) {
        s->base.cut = true;
        stream_tls_input_ends(s, STREAM_EOF, 0);
    } else {
        stream_tls_input_ends(s, STREAM_FAILED, s->below->input_error);
    }
}

static enum tls_read decrypt_some(struct stream_tls *s, uint8_t *to, size_t room, size_t *n_out)
{
    struct tls_bio *bio = &s->session.bio;
    enum tls_read got;

    bio->in_n = stream_peek(s->below, &bio->in);
    bio->in_at = 0;
    got = tls_session_read(&s->session, to, room, n_out);
    stream_consume(s->below, bio->in_at);
    bio->in = NULL;
    bio->in_n = bio->in_at = 0;
    return got;
}

/* Decrypts into `to` as much as there is, and room for; true when there is something to tell. */
static bool decrypt(struct stream_tls *s, uint8_t *to, size_t room, size_t *n_out)
{
    size_t before = *n_out;
    enum tls_read got;
    const uint8_t *p;

    stream_tls_bio_begin(s, true);
    do {
        got = decrypt_some(s, to, room, n_out);
        if (got == TLS_READ_SESSION && s->server != NULL)
            tls_sessions_put(s->loop->sessions, s->server, &s->session);
    } while (got == TLS_READ_SESSION || (got == TLS_READ_MORE && stream_peek(s->below, &p) > 0));
    stream_tls_bio_end(s);                          /* an alert, perhaps */
    s->more = got == TLS_READ_FULL;
    if (s->session.why != END_NONE)
        stream_tls_failed(s);
    else if (got == TLS_READ_END)
        stream_tls_input_ends(s, STREAM_EOF, 0);
    else if (got == TLS_READ_MORE && s->below->input != STREAM_OPEN)
        below_ended(s);
    s->base.bytes_in += *n_out - before;
    return *n_out > before || s->base.input != STREAM_OPEN;
}

/* What the owner left of the scratch buffer becomes the stream's own. */
static void keep_view(struct stream_tls *s)
{
    if (!hold_put(&s->in, span_of(s->view, s->view_n), 0)) {
        stream_tls_input_ends(s, STREAM_FAILED, -ENOMEM);
        s->announce = true;              /* the owner has been told of the bytes, and not yet of their loss */
        stream_tls_call_soon(s);
    }
    s->view = NULL;
    s->view_n = 0;
}

/* A little that was left goes before what is decrypted, so that the owner sees one piece. */
static bool take_in_scratch(struct stream_tls *s)
{
    struct span left = hold_bytes(s->in);
    uint8_t *scratch = s->loop->plain;
    size_t n = left.n;

    if (n > 0)
        memcpy(scratch, left.p, n);
    if (!decrypt(s, scratch, TLS_PLAIN_BYTES, &n))
        return false;
    hold_drop(&s->in);
    s->view = scratch;
    s->view_n = n;
    s->base.events->readable(s->base.ctx);
    if (!s->closing)
        keep_view(s);
    return true;
}

static bool take_in_own(struct stream_tls *s)
{
    uint8_t *room = hold_room(&s->in, STREAM_TLS_INPUT_BYTES, 0);
    size_t n = 0;
    bool some;

    if (room == NULL) {
        stream_tls_input_ends(s, STREAM_FAILED, -ENOMEM);
    } else {
        some = decrypt(s, room, STREAM_TLS_INPUT_BYTES, &n);
        hold_added(s->in, n);
        if (!some)
            return false;
    }
    s->base.events->readable(s->base.ctx);
    return true;
}

static bool has_more(struct stream_tls *s)
{
    const uint8_t *p;

    return s->base.input == STREAM_OPEN && hold_n(s->in) < STREAM_TLS_INPUT_BYTES &&
           (s->more || s->below->input != STREAM_OPEN || stream_peek(s->below, &p) > 0);
}

bool stream_tls_take_in(struct stream_tls *s)
{
    bool told;

    if (s->base.input != STREAM_OPEN || hold_n(s->in) >= STREAM_TLS_INPUT_BYTES)
        return false;
    told = hold_n(s->in) <= LITTLE_BYTES ? take_in_scratch(s) : take_in_own(s);
    if (s->closing)
        return true;
    if (has_more(s)) {
        s->take_in = true;
        stream_tls_call_soon(s);
    }
    return told;
}

size_t stream_tls_peek(struct stream *base, const uint8_t **p)
{
    struct stream_tls *s = stream_tls_of(base);

    if (s->view_n > 0) {
        *p = s->view;
        return s->view_n;
    }
    *p = hold_bytes(s->in).p;
    return hold_n(s->in);
}

void stream_tls_consume(struct stream *base, size_t n)
{
    struct stream_tls *s = stream_tls_of(base);

    if (s->view_n > 0) {
        assert(n <= s->view_n);
        s->view += n;
        s->view_n -= n;
        return;
    }
    hold_take(&s->in, n);
    if (has_more(s)) {
        s->take_in = true;
        stream_tls_call_soon(s);
    }
}
