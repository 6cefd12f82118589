/* fcgi_record: FastCGI records both ways (FastCGI specification 1.0, sections 3 to 5), from the web server's side.
 *
 * Out: one function writes record headers, and it asserts that no content is longer than 65535 bytes, whatever buffer it came
 * from: a length that was cut to 16 bits while all bytes were written would let a client forge records. Data is borrowed,
 * never copied: fcgi_out turns a stream into pieces (a header, the caller's bytes, padding) that are sent as far as taken.
 *
 * In: bytes to events, pulled. Call fcgi_reader_next with what the connection shows, consume what it says, act on the event,
 * repeat. An incomplete header (at most 7 bytes) stays with the caller.
 *
 *   STDOUT STDERR   result.data belongs to the request result.id and starts exactly at p + consumed. After passing the first
 *                   k <= data.n bytes on, call fcgi_reader_took(k) and consume those k as well; the rest comes again
 *   END             the request is over and its id free; everything of that record was consumed
 *   VALUES          what fcgi_reader_ask_values was called for
 *   MORE            needs more bytes than there are
 *   FAULT           result.fault; sticky: the connection and every request on it are lost
 *
 * The event sequence does not depend on how the bytes are split. No allocation in the reader.
 * tests/protocol/test_fcgi_record.c, test_fcgi_reader.c */
#ifndef UPGATE_PROTOCOL_FCGI_RECORD_H
#define UPGATE_PROTOCOL_FCGI_RECORD_H

#include "protocol/arena.h"
#include "protocol/fault.h"
#include "protocol/span.h"

/* Section 8. */
enum fcgi_type {
    FCGI_BEGIN_REQUEST = 1, FCGI_ABORT_REQUEST, FCGI_END_REQUEST, FCGI_PARAMS, FCGI_STDIN, FCGI_STDOUT, FCGI_STDERR, FCGI_DATA,
    FCGI_GET_VALUES, FCGI_GET_VALUES_RESULT, FCGI_UNKNOWN_TYPE,
};
enum fcgi_end { FCGI_REQUEST_COMPLETE, FCGI_CANT_MPX_CONN, FCGI_OVERLOADED, FCGI_UNKNOWN_ROLE };

enum {
    FCGI_HEADER_BYTES = 8,
    FCGI_CONTENT_MAX = 65535,            /* of one record, by the protocol */
    FCGI_CONTENT_OURS = 65528,           /* of the records that are written here: a multiple of 8 needs no padding */
    FCGI_REQUESTS_MAX = 64,              /* open on one connection at once; their ids are 1 to this */
    FCGI_VALUES_BYTES = 256,             /* a longer answer to FCGI_GET_VALUES is a fault */
    FCGI_GET_VALUES_BYTES = 56,
    FCGI_VALUES_N = 3,
};
extern const char *const fcgi_value_names[FCGI_VALUES_N];      /* section 4.1 */

/* ---- out ---- */

/* The only writer of record headers. content_n <= FCGI_CONTENT_MAX is asserted. Returns how many bytes of padding (0 to 7)
 * have to follow the content: fcgi_padding. */
size_t fcgi_write_header(uint8_t out[FCGI_HEADER_BYTES], enum fcgi_type type, unsigned id, size_t content_n);
struct span fcgi_padding(size_t n);

/* Whole records. The end of a stream (FCGI_PARAMS, FCGI_STDIN) is an empty record of its type, and an abort is one, too: both are
 * fcgi_write_header(out, type, id, 0). */
void fcgi_write_get_values(uint8_t out[FCGI_GET_VALUES_BYTES]);
/* What begins a responder's request: BEGIN_REQUEST, all of PARAMS with its end and, when there is no body, STDIN's end. In the
 * arena; p NULL: no memory. */
struct span fcgi_write_begin(struct arena *a, unsigned id, bool keep_connection, struct span pairs, bool has_body);
/* The same without a copy, for pairs that fit into one record (FCGI_CONTENT_OURS): the records are written around them. There are
 * FCGI_BEFORE_BYTES before the pairs, and behind them what is left of FCGI_AROUND_BYTES. */
enum { FCGI_BEFORE_BYTES = 3 * FCGI_HEADER_BYTES, FCGI_AROUND_BYTES = FCGI_BEFORE_BYTES + 3 * FCGI_HEADER_BYTES };
struct span fcgi_frame_begin(uint8_t *pairs, size_t n, unsigned id, bool keep_connection, bool has_body);

/* One stream of one request on its way out. */
struct fcgi_out {
    enum fcgi_type type;
    unsigned id;
    uint8_t header[FCGI_HEADER_BYTES];
    size_t header_left, content_left, padding_left;      /* of the record that was begun */
};
void fcgi_out_init(struct fcgi_out *o, enum fcgi_type type, unsigned id);
/* The bytes to send next, where `data` is what there is of the stream behind what was sent of it; empty when there is nothing
 * to do. The first piece of a record announces as much of the data as fits: those bytes have to follow, whatever happens to
 * their source. */
struct span fcgi_out_piece(struct fcgi_out *o, struct span data);
/* The first n bytes of that piece are sent. Returns how many of them were data, to be consumed from it. */
size_t fcgi_out_sent(struct fcgi_out *o, size_t n);
/* No record is begun: its end, or a record of another stream, may be written. */
bool fcgi_out_at_border(const struct fcgi_out *o);

/* ---- name-value pairs: section 3.4 ---- */

/* The two lengths; returns how many bytes they take, which the first function says without writing. Both are asserted to be below 2^31. */
size_t fcgi_pair_head_bytes(size_t name_n, size_t value_n);
size_t fcgi_write_pair_head(uint8_t *out, size_t name_n, size_t value_n);
/* Takes the first pair off; false when there is none, or (rest->n is not 0) it is not whole. */
bool fcgi_read_pair(struct span *rest, struct span *name_out, struct span *value_out);

/* ---- in ---- */

/* Section 4.1; 0 where the server said nothing. */
struct fcgi_values {
    bool told;                           /* false: it does not know the question (FCGI_UNKNOWN_TYPE) */
    unsigned max_connections;
    unsigned max_requests;
    bool has_multiplexes;
    bool multiplexes;
};

enum fcgi_event { FCGI_EVENT_MORE, FCGI_EVENT_STDOUT, FCGI_EVENT_STDERR, FCGI_EVENT_END, FCGI_EVENT_VALUES, FCGI_EVENT_FAULT };

struct fcgi_result {
    enum fcgi_event event;
    unsigned id;                         /* STDOUT, STDERR, END */
    struct span data;                    /* STDOUT, STDERR; never empty */
    enum fcgi_end end;                   /* END */
    uint32_t app_status;                 /* END: what a program would have given to exit() */
    struct fcgi_values values;           /* VALUES */
    enum fault fault;                    /* FAULT */
};

enum fcgi_reader_state { FCGI_READER_HEADER, FCGI_READER_STREAM, FCGI_READER_GATHER, FCGI_READER_PADDING, FCGI_READER_FAULT };

struct fcgi_reader {
    enum fcgi_reader_state state;
    enum fault fault;
    enum fcgi_type type;                 /* of the record that is being read */
    unsigned id;
    size_t content_n;                    /* as its header announced */
    size_t content_left, padding_left;
    size_t gathered_n;
    uint8_t gathered[FCGI_VALUES_BYTES]; /* the content of a discrete record */
    uint8_t requests[FCGI_REQUESTS_MAX + 1];     /* by id: bits that are named in fcgi_reader.c */
    unsigned open;
    bool values_asked;
};

void fcgi_reader_init(struct fcgi_reader *r);
/* Opens a request: the smallest free id, or 0 when all are taken. From now on its records may arrive. */
unsigned fcgi_reader_open(struct fcgi_reader *r);
/* Nothing of it has been sent after all: its id is free. */
void fcgi_reader_withdraw(struct fcgi_reader *r, unsigned id);
/* Nobody wants what is still to come of it (FCGI_ABORT_REQUEST was sent): it is skipped, but for its END. The id is not used again on this
 * connection, and what comes of it behind its END is skipped, too. */
void fcgi_reader_discard(struct fcgi_reader *r, unsigned id);
/* FCGI_GET_VALUES is sent: one answer to it may arrive. */
void fcgi_reader_ask_values(struct fcgi_reader *r);
size_t fcgi_reader_next(struct fcgi_reader *r, const uint8_t *p, size_t n, struct fcgi_result *out);
void fcgi_reader_took(struct fcgi_reader *r, size_t n);
/* How many bytes come next of a STDOUT record for this request, whose header said that there are at least so many of them: bytes that may
 * be passed on without being shown, when fcgi_reader_took is told of them. 0: something else comes next. */
size_t fcgi_reader_due(const struct fcgi_reader *r, unsigned id, size_t least);
/* Nothing is open and nothing is due: the connection may be kept, and whatever arrives on it is unasked for. */
bool fcgi_reader_is_idle(const struct fcgi_reader *r);

#endif
