/* tls_hello: what a TLS client says first, read without being TLS: which server it means, and which protocols it offers.
 *
 * Feed it the connection's first bytes, always from the first one on, as often as there are more; they stay with the caller, for the
 * server that is to answer them. What was walked through is not looked at again, and the hello itself is read once, when it is whole:
 *
 *   MORE      needs more bytes than there are
 *   WHOLE     `name` and `alpn` hold what was asked for; the hello is well-formed as far as this is read
 *   FAULT     `fault`; sticky. It depends on the bytes alone, not on how they arrived
 *
 * What can go wrong, in order: no TLS at all (plain text, an SSLv2 hello, anything else), a record or a message that cannot come first,
 * a hello that does not end within TLS_HELLO_BYTES_MAX, one that is malformed (a length that does not fit, an extension twice, two names).
 *
 * The hello may come in many records and its message cut anywhere between them (RFC 8446 section 5.1). An unknown extension, cipher suite,
 * version or protocol is nobody's fault: clients send made-up ones on purpose (RFC 8701). With Encrypted Client Hello the name is the
 * one outside, which is the one to go by here. No allocation. tests/protocol/test_tls_hello.c */
#ifndef UPGATE_PROTOCOL_TLS_HELLO_H
#define UPGATE_PROTOCOL_TLS_HELLO_H

#include "protocol/fault.h"
#include "protocol/span.h"

#define TLS_HELLO_BYTES_MAX 16384        /* from the connection's first byte to the hello's last, record headers included */
#define TLS_HELLO_NAME_BYTES 253
#define TLS_HELLO_ALPN_BYTES 64          /* protocols beyond are not kept */
#define TLS_ALERT_BYTES 7

enum tls_hello_event { TLS_HELLO_MORE, TLS_HELLO_WHOLE, TLS_HELLO_FAULT };

struct tls_hello {
    size_t at;                           /* bytes walked through: whole record headers, and content as far as it came */
    size_t record_left;                  /* of the record's content that is still to come */
    size_t message_n, message_at;        /* of the handshake message, its header included; message_n 0: not known yet */
    unsigned records;
    enum fault fault;
    bool whole;
    size_t name_n;                       /* 0: the client named no server */
    size_t alpn_n;
    char name[TLS_HELLO_NAME_BYTES];     /* a host name in lower case, without a final dot */
    char alpn[TLS_HELLO_ALPN_BYTES];     /* the protocols offered, separated by commas; unprintable bytes are '?' */
};

void tls_hello_init(struct tls_hello *h);
/* p, n: all that came on this connection so far, or at least its first TLS_HELLO_BYTES_MAX. */
enum tls_hello_event tls_hello_feed(struct tls_hello *h, const uint8_t *p, size_t n);

/* RFC 8446 section 6. */
enum tls_alert {
    TLS_ALERT_CLOSE_NOTIFY = 0,
    TLS_ALERT_UNEXPECTED_MESSAGE = 10,
    TLS_ALERT_RECORD_OVERFLOW = 22,
    TLS_ALERT_ILLEGAL_PARAMETER = 47,
    TLS_ALERT_DECODE_ERROR = 50,
    TLS_ALERT_PROTOCOL_VERSION = 70,
    TLS_ALERT_INTERNAL_ERROR = 80,
    TLS_ALERT_UNRECOGNIZED_NAME = 112,
};
/* What a client with such a hello is told. */
enum tls_alert tls_hello_alert(enum fault fault);
/* A fatal alert as a whole record, for a client that was not answered yet. */
void tls_alert_write(uint8_t out[TLS_ALERT_BYTES], enum tls_alert alert);

#endif
