/* flow: one direction of a connection that is passed on unread: peek, send, consume, and the end when it comes.
 *
 * What the other side does not take stays in the stream it came from, which then stops reading: that is all the backpressure there is.
 * tests/gateway/test_flow.c */
#ifndef UPGATE_GATEWAY_FLOW_H
#define UPGATE_GATEWAY_FLOW_H

#include "gateway/stream.h"

struct flow {
    struct stream *from, *to;            /* the owner's */
    bool over;                           /* nothing passes any more: the end was passed on, or one of the two failed */
    uint64_t moved;                      /* bytes passed on, over its life */
};

enum flow_result {
    FLOW_STARVED,                        /* needs more input; the stream will say so */
    FLOW_BLOCKED,                        /* the output takes no more now */
    FLOW_ENDED,                          /* the input ended, and so does the output behind what passed (half-close) */
    FLOW_RESET,                          /* the input failed; all that came before it has passed */
    FLOW_DEAF,                           /* the output failed */
};

void flow_init(struct flow *f, struct stream *from, struct stream *to);
/* Not to be called when it is over. */
enum flow_result flow_run(struct flow *f);

#endif
