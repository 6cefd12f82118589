/* chat: one small room. Members send text; everybody hears JSON, one object per message.
 *
 *   a member sends      text                      it is said to the room, the speaker included
 *                       /nick NAME                another nickname (1 to 32 bytes, nobody else's)
 *                       /who                      who is here
 *   a member hears      {"type":"welcome","nick":…,"members":[…]}      first
 *                       {"type":"joined","nick":…,"count":N}  {"type":"left","nick":…,"count":N}
 *                       {"type":"renamed","from":…,"to":…}    {"type":"said","nick":…,"text":…,"at":MILLISECONDS}
 *                       {"type":"who","members":[…]}          {"type":"error","text":…}
 *
 * Bounded: CHAT_MEMBERS_MAX members (the next one gets Close 1013), 4 KiB a message, and a member who leaves more than
 * CHAT_QUEUE_MAX_BYTES unread is closed with 1008, so that one slow reader costs the others nothing. */
#ifndef UPGATE_INTEROP_APP_CHAT_H
#define UPGATE_INTEROP_APP_CHAT_H

#include "interop/app/ws_peer.h"

#define CHAT_MEMBERS_MAX 200
#define CHAT_MESSAGE_MAX_BYTES 4096
#define CHAT_QUEUE_MAX_BYTES (256 * 1024)
#define CHAT_NICK_MAX_BYTES 32

struct chat_member;

struct chat {
    struct chat_member *members[CHAT_MEMBERS_MAX];
    size_t n;
    unsigned guests;                     /* named so far: guest-1, guest-2, … */
};

/* The three calls of a ws_endpoint whose room is a struct chat. */
void chat_opened(struct ws_peer *p, struct span nickname);
void chat_message(struct ws_peer *p, bool text, struct span data);
void chat_ended(struct ws_peer *p);

#endif
