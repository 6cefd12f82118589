/* http1_framing: the one place that says what body a message has (RFC 9112 section 6), for requests and for responses.
 *
 * The verdict is made from the whole head, when it has ended, and from nothing else. Whatever could be read in two ways is
 * refused: a request is answered and its connection closed, a response becomes a 502. tests/protocol/test_http1_parse.c */
#ifndef UPGATE_PROTOCOL_HTTP1_FRAMING_H
#define UPGATE_PROTOCOL_HTTP1_FRAMING_H

#include "protocol/http1_parse.h"

/* Reads head->version_minor, status and fields; sets body, content_length, has_content_length and keep_alive. */
enum fault http1_framing_request(struct http1_head *head);
enum fault http1_framing_response(struct http1_head *head, bool head_request);
/* RFC 9110 section 6.4.1 and RFC 9112 section 6.3: no body follows such an answer, whatever its fields say. */
bool http1_framing_bodiless(unsigned status, bool head_request);

#endif
