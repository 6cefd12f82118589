#include "interop/app/chat.h"

#include "interop/app/json_line.h"
#include "protocol/mem.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES (CHAT_MESSAGE_MAX_BYTES * 6 + 1024)         /* every byte of a message escaped, and the names */
#define WHO_BYTES (CHAT_MEMBERS_MAX * (CHAT_NICK_MAX_BYTES * 2 + 4) + 1024)
#define LINE_MAX_BYTES (LINE_BYTES > WHO_BYTES ? LINE_BYTES : WHO_BYTES)

struct chat_member {
    struct ws_peer *peer;
    char nick[CHAT_NICK_MAX_BYTES + 1];
};

static char line_buffer[LINE_MAX_BYTES];

static struct chat *room_of(const struct ws_peer *p)
{
    return ws_peer_endpoint(p)->room;
}

/* --- what is said --- */

/* A line that begins {"type":"TYPE" */
static struct json_line begin(const char *type)
{
    struct json_line j = json_line_over(line_buffer, sizeof(line_buffer));

    json_line_raw(&j, "{\"type\":\"");
    json_line_raw(&j, type);
    json_line_raw(&j, "\"");
    return j;
}

static void add_text(struct json_line *j, const char *name, struct span text)
{
    json_line_raw(j, ",\"");
    json_line_raw(j, name);
    json_line_raw(j, "\":");
    json_line_string(j, text);
}

static void add_number(struct json_line *j, const char *name, uint64_t value)
{
    json_line_raw(j, ",\"");
    json_line_raw(j, name);
    json_line_raw(j, "\":");
    json_line_number(j, value);
}

static void add_members(struct json_line *j, const struct chat *room)
{
    json_line_raw(j, ",\"members\":[");
    for (size_t i = 0; i < room->n; i++) {
        json_line_raw(j, i > 0 ? "," : "");
        json_line_string(j, span_of_text(room->members[i]->nick));
    }
    json_line_raw(j, "]");
}

static struct span finish(struct json_line *j)
{
    json_line_raw(j, "}");
    assert(!j->too_long);                /* the buffer is sized for the worst case */
    return json_line_span(j);
}

static void tell(const struct chat_member *m, struct span line)
{
    if (ws_peer_queued_bytes(m->peer) + line.n > CHAT_QUEUE_MAX_BYTES)
        ws_peer_close(m->peer, 1008, "too slow for this room");
    else
        ws_peer_send(m->peer, true, line);
}

static void tell_room(const struct chat *room, struct json_line *j)
{
    struct span line = finish(j);

    for (size_t i = 0; i < room->n; i++)
        tell(room->members[i], line);
}

static void tell_error(const struct chat_member *m, const char *sentence)
{
    struct json_line j = begin("error");

    add_text(&j, "text", span_of_text(sentence));
    tell(m, finish(&j));
}

static void tell_count(const struct chat *room, const char *type, const char *nick)
{
    struct json_line j = begin(type);

    add_text(&j, "nick", span_of_text(nick));
    add_number(&j, "count", room->n);
    tell_room(room, &j);
}

/* --- names --- */

static bool nick_is_taken(const struct chat *room, struct span nick)
{
    for (size_t i = 0; i < room->n; i++)
        if (span_equal_nocase(span_of_text(room->members[i]->nick), nick))
            return true;
    return false;
}

static bool nick_is_good(struct span nick)
{
    if (nick.n == 0 || nick.n > CHAT_NICK_MAX_BYTES)
        return false;
    for (size_t i = 0; i < nick.n; i++)
        if (nick.p[i] <= ' ' || nick.p[i] == 0x7f || nick.p[i] == '"' || nick.p[i] == '\\')
            return false;
    return true;
}

/* From a query, which was not checked to be UTF-8: ASCII only. */
static bool nick_is_plain(struct span nick)
{
    for (size_t i = 0; i < nick.n; i++)
        if (nick.p[i] >= 0x7f || nick.p[i] == '%')
            return false;
    return nick_is_good(nick);
}

static void nick_set(struct chat_member *m, struct span nick)
{
    memcpy(m->nick, nick.p, nick.n);
    m->nick[nick.n] = '\0';
}

static void nick_first(struct chat *room, struct chat_member *m, struct span wished)
{
    if (nick_is_plain(wished) && !nick_is_taken(room, wished)) {
        nick_set(m, wished);
        return;
    }
    do                                   /* ends: there are fewer members than numbers */
        snprintf(m->nick, sizeof(m->nick), "guest-%u", ++room->guests);
    while (nick_is_taken(room, span_of_text(m->nick)));
}

/* --- coming, speaking, going --- */

void chat_opened(struct ws_peer *p, struct span nickname)
{
    struct chat *room = room_of(p);
    struct chat_member *m = room->n < CHAT_MEMBERS_MAX ? mem_zalloc(sizeof(*m)) : NULL;
    struct json_line j;

    ws_peer_attach(p, m);
    if (m == NULL) {
        ws_peer_close(p, 1013, "the room is full");
        return;
    }
    m->peer = p;
    nick_first(room, m, nickname);
    room->members[room->n++] = m;
    j = begin("welcome");
    add_text(&j, "nick", span_of_text(m->nick));
    add_members(&j, room);
    tell(m, finish(&j));
    tell_count(room, "joined", m->nick);
}

static void rename_member(struct chat *room, struct chat_member *m, struct span nick)
{
    struct json_line j = begin("renamed");

    if (!nick_is_good(nick) || nick_is_taken(room, nick)) {
        tell_error(m, "a nickname has 1 to 32 bytes, no blanks or quotes, and is nobody else's");
        return;
    }
    add_text(&j, "from", span_of_text(m->nick));
    add_text(&j, "to", nick);
    nick_set(m, nick);
    tell_room(room, &j);
}

static uint64_t now_ms(void)
{
    uv_timeval64_t now;

    return uv_gettimeofday(&now) == 0 ? (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_usec / 1000 : 0;
}

static void say(const struct chat *room, const struct chat_member *m, struct span text)
{
    struct json_line j = begin("said");

    add_text(&j, "nick", span_of_text(m->nick));
    add_text(&j, "text", text);
    add_number(&j, "at", now_ms());
    tell_room(room, &j);
}

static void tell_who(const struct chat *room, const struct chat_member *m)
{
    struct json_line j = begin("who");

    add_members(&j, room);
    tell(m, finish(&j));
}

void chat_message(struct ws_peer *p, bool text, struct span data)
{
    struct chat_member *m = ws_peer_attached(p);
    struct chat *room = room_of(p);

    if (m == NULL)
        return;                          /* the room was full */
    if (!text)
        ws_peer_close(p, 1003, "this room hears text only");
    else if (span_starts_with(data, SPAN_LITERAL("/nick ")))
        rename_member(room, m, span_from(data, 6));
    else if (span_equal(data, SPAN_LITERAL("/who")))
        tell_who(room, m);
    else if (span_starts_with(data, SPAN_LITERAL("/")))
        tell_error(m, "the commands are /nick NAME and /who");
    else if (data.n > 0)
        say(room, m, data);
}

void chat_ended(struct ws_peer *p)
{
    struct chat_member *m = ws_peer_attached(p);
    struct chat *room = room_of(p);
    size_t i = 0;

    if (m == NULL)
        return;
    while (room->members[i] != m)
        i++;
    room->members[i] = room->members[--room->n];
    tell_count(room, "left", m->nick);
    mem_free(m);
}
