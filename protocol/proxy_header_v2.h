/* The numbers of the binary header (section 2.2 and 2.2.x), for its reader and its writer; nobody else includes it. */
#ifndef UPGATE_PROTOCOL_PROXY_HEADER_V2_H
#define UPGATE_PROTOCOL_PROXY_HEADER_V2_H

#define PROXY_V2_SIGNATURE SPAN_LITERAL("\r\n\r\n\0\r\nQUIT\n")
#define PROXY_V2_FIXED 16                /* signature, version and command, family and transport, length */
#define PROXY_V2_VERSION 2

enum proxy_v2_command { PROXY_V2_LOCAL, PROXY_V2_PROXY, PROXY_V2_COMMANDS };
enum proxy_v2_family { PROXY_V2_UNSPEC, PROXY_V2_INET, PROXY_V2_INET6, PROXY_V2_UNIX, PROXY_V2_FAMILIES };
enum proxy_v2_transport { PROXY_V2_NO_TRANSPORT, PROXY_V2_STREAM, PROXY_V2_DGRAM, PROXY_V2_TRANSPORTS };

#define PROXY_V2_INET_BYTES 12           /* two addresses, two ports */
#define PROXY_V2_INET6_BYTES 36
#define PROXY_V2_UNIX_BYTES 216          /* two paths */

enum proxy_v2_type {
    PROXY_V2_AUTHORITY = 0x02,
    PROXY_V2_CRC32C = 0x03,
    PROXY_V2_UNIQUE_ID = 0x05,
    PROXY_V2_SSL = 0x20,
    PROXY_V2_SSL_VERSION = 0x21,         /* this and those below only within SSL */
    PROXY_V2_SSL_CN = 0x22,
    PROXY_V2_SSL_CIPHER = 0x23,
};
#define PROXY_V2_TLV_FIXED 3             /* type, length */
#define PROXY_V2_SSL_FIXED 5             /* client bits, verify */
#define PROXY_V2_CLIENT_SSL 0x01
#define PROXY_V2_CLIENT_CERT_CONN 0x02
#define PROXY_V2_CLIENT_CERT_SESS 0x04
#define PROXY_V2_UNIQUE_ID_MAX 128

#endif
