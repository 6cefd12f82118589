/* proxy_header: the PROXY protocol, versions 1 and 2, read and written: what a hop says of the client in front of it, before the client's
 * own first byte ("The PROXY protocol", HAProxy's specification of 2020 with its later types).
 *
 * A header is read from what is there, as often as more of it came: nothing is kept between the calls, and nothing is taken until it is
 * whole. What can go wrong, in order: it does not begin like a header, its version, command or family is unknown, it is longer than the bound
 * or too short for its addresses, a TLV does not end where its parent ends, the checksum is wrong. tests/protocol/test_proxy_header.c */
#ifndef UPGATE_PROTOCOL_PROXY_HEADER_H
#define UPGATE_PROTOCOL_PROXY_HEADER_H

#include "protocol/fault.h"
#include "protocol/net_address.h"

#define PROXY_HEADER_V1_BYTES 107        /* section 2.1: the longest line, CR LF included */
#define PROXY_HEADER_V2_BYTES 4096       /* ours: a longer one is refused. A client certificate (type 0x28) fits */

enum proxy_header_kind {
    PROXY_HEADER_LOCAL,                  /* the hop speaks for itself (a health check): the socket's addresses are the client's */
    PROXY_HEADER_UNKNOWN,                /* for somebody, but it does not say for whom */
    PROXY_HEADER_ADDRESSES,
};

/* Section 2.2.5: what the hop says of the TLS in front of it. */
struct proxy_header_tls {
    bool certificate;                    /* the client showed one on this connection, or in the session that this one resumes */
    bool verified;                       /* … and it was good */
    struct span version, cipher, common_name;      /* empty: not told */
};

struct proxy_header {
    unsigned version;                    /* 1 or 2 */
    enum proxy_header_kind kind;
    struct net_address source, destination;        /* with PROXY_HEADER_ADDRESSES; UNIX: the paths are not kept */
    /* version 2; spans borrow from what was read, and may hold any bytes */
    struct span authority;               /* the name that the client asked for (SNI) */
    struct span unique_id;
    bool has_tls;                        /* the client spoke TLS with the hop */
    struct proxy_header_tls tls;
};

/* The size of the header at p, which is then all read; 0: more is needed; negative: a fault, negated. Call it with all bytes that came
 * so far. */
int proxy_header_read(const uint8_t *p, size_t n, struct proxy_header *out);

#define PROXY_HEADER_WRITE_BYTES 1024
#define PROXY_HEADER_VALUE_BYTES 128     /* a longer name is left out */
/* Writes a header and returns its size; version 1 has addresses only, and unique_id is not written. Where the two addresses are not of one family, both are written as IPv6; without a source that is
 * an IP address, nothing is told of it; a destination that is not known is written as zeros. */
size_t proxy_header_write(const struct proxy_header *h, uint8_t out[PROXY_HEADER_WRITE_BYTES]);

#endif
