/* fault: the single table of what a peer can do wrong.
 *
 * A row: F(name, word for logs and counters, HTTP status, WebSocket close code, sentence). The status is what the gateway
 * answers a *request* with such a fault; a fault in a *response* is 502 whatever the row says (0: never in a request). The close code
 * goes to the offending side of a tunnel (0: never in a tunnel). Sources: RFC 9110, RFC 9112, RFC 6455, the FastCGI
 * specification 1.0, RFC 3875, RFC 8446, the PROXY protocol. */
#ifndef UPGATE_PROTOCOL_FAULT_H
#define UPGATE_PROTOCOL_FAULT_H

#define FAULT_TABLE(F)                                                                                                         \
    F(NONE, "none", 0, 0, "no fault")                                                                                          \
    /* the head: RFC 9112 sections 2 to 5 */                                                                                   \
    F(START_LINE, "start_line", 400, 0, "the start line is malformed")                                                         \
    F(VERSION, "version", 505, 0, "the HTTP version is not 1.0 or 1.1")                                                        \
    F(METHOD, "method", 400, 0, "the method is not a token")                                                                   \
    F(TARGET, "target", 400, 0, "the request target is malformed")                                                             \
    F(TARGET_TOO_LONG, "target_too_long", 414, 0, "the request target is longer than this gateway accepts")                    \
    F(FIELD, "field", 400, 0, "a header field is malformed")                                                                   \
    F(HEAD_TOO_LARGE, "head_too_large", 431, 0, "the header section is larger than this gateway accepts")                      \
    F(TOO_MANY_FIELDS, "too_many_fields", 431, 0, "there are more header fields than this gateway accepts")                    \
    F(LINE_ENDING, "line_ending", 400, 0, "a line does not end in CR LF")                                                      \
    F(BLANK_LINES, "blank_lines", 400, 0, "more than one blank line stands before the request")                                \
    F(STATUS, "status", 0, 0, "the status code is not a number from 100 to 599")                                               \
    /* the framing: RFC 9112 section 6 */                                                                                      \
    F(CONTENT_LENGTH, "content_length", 400, 0, "Content-Length is malformed or repeated")                                     \
    F(LENGTH_AND_CODING, "length_and_coding", 400, 0, "Content-Length stands beside Transfer-Encoding")                        \
    F(TRANSFER_ENCODING, "transfer_encoding", 400, 0, "Transfer-Encoding is malformed")                                        \
    F(CODING_UNKNOWN, "coding_unknown", 501, 0, "a transfer coding other than chunked is used")                                \
    F(CODING_VERSION, "coding_version", 400, 0, "Transfer-Encoding is used with HTTP/1.0")                                     \
    F(CHUNK, "chunk", 400, 0, "the chunked framing is malformed")                                                              \
    F(CHUNK_EXTENSIONS, "chunk_extensions", 400, 0, "the chunk extensions are longer than this gateway accepts")               \
    F(TRAILERS, "trailers", 400, 0, "the trailer section is malformed or holds a field that is not allowed there")             \
    F(BODY_TOO_LARGE, "body_too_large", 413, 0, "the body is larger than this gateway accepts")                                \
    F(BODY_NOT_ALLOWED, "body_not_allowed", 400, 0, "framing fields are used where no body is allowed")                        \
    F(LENGTH_REQUIRED, "length_required", 411, 0, "the backend needs a Content-Length")                                        \
    F(TRUNCATED, "truncated", 400, 0, "the message ended before it was complete")                                              \
    F(EXCESS, "excess", 0, 0, "bytes followed the end of the message")                                                         \
    F(INTERIM_FLOOD, "interim_flood", 0, 0, "there are more 1xx answers than this gateway accepts")                            \
    F(SWITCH_UNASKED, "switch_unasked", 0, 0, "a 101 was sent that nobody asked for")                                          \
    /* the rules of a proxy: RFC 9110 */                                                                                       \
    F(HOST, "host", 400, 0, "Host is missing, repeated or malformed")                                                          \
    F(SCHEME, "scheme", 400, 0, "the target's scheme is not http or https")                                                    \
    F(CONNECT, "connect", 501, 0, "CONNECT is not offered here")                                                               \
    F(TRACE, "trace", 405, 0, "TRACE is not allowed here")                                                                     \
    F(EXPECTATION, "expectation", 417, 0, "the expectation is not 100-continue")                                               \
    F(LOOP, "loop", 508, 0, "the request has already passed through this gateway too often")                                   \
    /* the upgrade: RFC 6455 section 4 */                                                                                      \
    F(WS_METHOD, "ws_method", 400, 0, "a WebSocket handshake has to be a GET")                                                 \
    F(WS_HTTP_VERSION, "ws_http_version", 400, 0, "a WebSocket handshake has to be HTTP/1.1")                                  \
    F(WS_BODY, "ws_body", 400, 0, "a WebSocket handshake has no body")                                                         \
    F(WS_KEY, "ws_key", 400, 0, "Sec-WebSocket-Key is missing, repeated or not 16 bytes in base64")                            \
    F(WS_VERSION, "ws_version", 426, 0, "Sec-WebSocket-Version is not 13")                                                     \
    F(WS_HIXIE, "ws_hixie", 426, 0, "this is a WebSocket handshake from before RFC 6455")                                      \
    F(WS_OFFER, "ws_offer", 400, 0, "the offer of subprotocols or extensions is malformed")                                    \
    F(WS_UPGRADE_FIELD, "ws_upgrade_field", 0, 0, "the 101 does not have exactly one Upgrade field saying websocket")          \
    F(WS_CONNECTION_FIELD, "ws_connection_field", 0, 0, "the 101 has no Connection field saying upgrade")                      \
    F(WS_ACCEPT, "ws_accept", 0, 0, "the 101's Sec-WebSocket-Accept is missing, repeated or not the one due")                  \
    F(WS_PROTOCOL, "ws_protocol", 0, 0, "the 101 chose a subprotocol that was not offered")                                    \
    F(WS_EXTENSION, "ws_extension", 0, 0, "the 101 chose an extension that was not offered, or parameters that do not fit")    \
    F(WS_FRAMING, "ws_framing", 0, 0, "the 101 has Content-Length or Transfer-Encoding")                                       \
    F(WS_ANSWER_VERSION, "ws_answer_version", 0, 0, "the 101 is not HTTP/1.1")                                                 \
    /* the frames: RFC 6455 sections 5 to 8 */                                                                                 \
    F(WS_RSV, "ws_rsv", 0, 1002, "a reserved bit is set that no extension gave a meaning")                                     \
    F(WS_OPCODE, "ws_opcode", 0, 1002, "the opcode is reserved")                                                               \
    F(WS_UNMASKED, "ws_unmasked", 0, 1002, "a frame of the client is not masked")                                              \
    F(WS_MASKED, "ws_masked", 0, 1002, "a frame of the server is masked")                                                      \
    F(WS_LENGTH, "ws_length", 0, 1002, "a frame's length is not written in its shortest form, or has its top bit set")         \
    F(WS_CONTROL_LENGTH, "ws_control_length", 0, 1002, "a control frame is longer than 125 bytes")                             \
    F(WS_CONTROL_FRAGMENT, "ws_control_fragment", 0, 1002, "a control frame is fragmented")                                    \
    F(WS_CONTINUATION, "ws_continuation", 0, 1002, "a continuation frame continues nothing")                                   \
    F(WS_INTERLEAVED, "ws_interleaved", 0, 1002, "a new message began inside a fragmented one")                                \
    F(WS_CLOSE_PAYLOAD, "ws_close_payload", 0, 1002, "a Close frame's payload is one byte")                                    \
    F(WS_CLOSE_CODE, "ws_close_code", 0, 1002, "a Close frame's code may not be sent")                                         \
    F(WS_CLOSE_TEXT, "ws_close_text", 0, 1007, "a Close frame's reason is not UTF-8")                                          \
    F(WS_TEXT, "ws_text", 0, 1007, "a text message is not UTF-8")                                                              \
    F(WS_FRAME_TOO_LARGE, "ws_frame_too_large", 0, 1009, "a frame is larger than max_frame")                                   \
    F(WS_MESSAGE_TOO_LARGE, "ws_message_too_large", 0, 1009, "a message is larger than max_message")                           \
    F(WS_TOO_MANY_FRAGMENTS, "ws_too_many_fragments", 0, 1009, "a message has more frames than max_fragments")                 \
    F(WS_RATE, "ws_rate", 0, 1008, "the client sent more messages per second than it may")                                     \
    F(WS_AFTER_CLOSE, "ws_after_close", 0, 1002, "a frame followed the Close frame")                                           \
    /* FastCGI: the specification 1.0, and RFC 3875 */                                                                         \
    F(FCGI_VERSION, "fcgi_version", 0, 0, "the version of a FastCGI record is not 1")                                          \
    F(FCGI_TYPE, "fcgi_type", 0, 0, "a FastCGI record came whose type a server may not send, or not now")                      \
    F(FCGI_ID, "fcgi_id", 0, 0, "a FastCGI record belongs to no request that is open")                                         \
    F(FCGI_LENGTH, "fcgi_length", 0, 0, "a FastCGI record has a length that its type cannot have")                             \
    F(FCGI_AFTER_END, "fcgi_after_end", 0, 0, "content followed the end of a FastCGI stream")                                  \
    F(FCGI_END_STATUS, "fcgi_end_status", 0, 0, "a FastCGI request ended with a protocol status that does not exist")          \
    F(FCGI_VALUES, "fcgi_values", 0, 0, "the answer to FCGI_GET_VALUES is malformed")                                          \
    F(FCGI_ROLE, "fcgi_role", 0, 0, "the FastCGI application has no part that answers requests (responder)")                   \
    F(FCGI_MULTIPLEX, "fcgi_multiplex", 0, 0, "the FastCGI application refuses a request on a connection that has no other")   \
    F(FCGI_SCRIPT, "fcgi_script", 404, 0, "the path names no script")                                                          \
    F(FCGI_PARAMS, "fcgi_params", 431, 0, "the request is longer as FastCGI parameters than this gateway sends")               \
    F(FCGI_NPH, "fcgi_nph", 0, 0, "the reply begins with an HTTP status line, which FastCGI replies do not have")              \
    F(FCGI_NO_CGI_FIELD, "fcgi_no_cgi_field", 0, 0, "the reply has none of Content-Type, Location and Status")                 \
    F(FCGI_REPEATED, "fcgi_repeated", 0, 0, "the reply has Content-Type, Location or Status more than once")                   \
    F(FCGI_STATUS, "fcgi_status", 0, 0, "the reply's Status is not a number from 200 to 599")                                  \
    F(FCGI_CONTENT_TYPE, "fcgi_content_type", 0, 0, "the reply has a body and no Content-Type")                                \
    /* what a TLS client says first: RFC 8446 sections 4.1.2 and 5.1, RFC 6066 section 3, RFC 7301 */                          \
    F(TLS_PLAIN_TEXT, "tls_plain_text", 400, 0, "plain text came, HTTP most likely, where TLS was due")                        \
    F(TLS_SSL2, "tls_ssl2", 0, 0, "the client begins with SSLv2")                                                              \
    F(TLS_RECORD, "tls_record", 0, 0, "what came is no TLS handshake")                                                         \
    F(TLS_MESSAGE, "tls_message", 0, 0, "the first TLS message is not a ClientHello")                                          \
    F(TLS_HELLO_TOO_LARGE, "tls_hello_too_large", 0, 0, "the ClientHello is larger than this gateway accepts")                 \
    F(TLS_HELLO, "tls_hello", 0, 0, "the ClientHello is malformed")                                                            \
    F(TLS_EXTENSION_TWICE, "tls_extension_twice", 0, 0, "the ClientHello has an extension twice")                              \
    F(TLS_SERVER_NAME, "tls_server_name", 0, 0, "the ClientHello's server name is no host name, or there are two")             \
    F(TLS_ALPN, "tls_alpn", 0, 0, "the ClientHello's list of protocols is malformed")                                          \
    /* before HTTP: the PROXY protocol */                                                                                      \
    F(PROXY_SIGNATURE, "proxy_signature", 0, 0, "the connection does not begin with a PROXY header")                           \
    F(PROXY_LINE, "proxy_line", 0, 0, "the line of the PROXY header is malformed or too long")                                 \
    F(PROXY_VERSION, "proxy_version", 0, 0, "the version or the command of the PROXY header is unknown")                       \
    F(PROXY_FAMILY, "proxy_family", 0, 0, "the address family or the transport of the PROXY header is unknown")                \
    F(PROXY_LENGTH, "proxy_length", 0, 0, "the PROXY header is too short for its addresses")                                   \
    F(PROXY_TOO_LONG, "proxy_too_long", 0, 0, "the PROXY header is longer than this gateway accepts")                          \
    F(PROXY_TLV, "proxy_tlv", 0, 0, "a TLV of the PROXY header is malformed")                                                  \
    F(PROXY_CHECKSUM, "proxy_checksum", 0, 0, "the checksum of the PROXY header is wrong")                                     \
    /* not the peer's fault */                                                                                                 \
    F(NO_MEMORY, "no_memory", 503, 1011, "there is not enough memory")

enum fault {
#define FAULT_ENUM(name, word, status, code, sentence) FAULT_##name,
    FAULT_TABLE(FAULT_ENUM)
#undef FAULT_ENUM
    FAULT_COUNT
};

const char *fault_word(enum fault f);              /* for log fields and counter labels */
const char *fault_sentence(enum fault f);          /* for people; no full stop */
unsigned fault_status(enum fault f);               /* HTTP status of a request with it; 0 where there is none */
unsigned fault_close_code(enum fault f);           /* RFC 6455 section 7.4; 0 where there is none */

#endif
