/* A request's parameters, read back by the other side's reader: the facts, the client's fields, and everything by which a
 * client has got a variable of its own into an application. Then random heads against a slow model. */
#include "protocol/fcgi_params.h"
#include "protocol/mem.h"
#include "tests/protocol/chance.h"
#include "tests/protocol/fcgi_case.h"
#include "tests/protocol/fcgi_peer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define LIMIT 65536
#define GET "GET /a%20b/?q=1&r=%2F HTTP/1.1\r\nHost: Example.com:8443\r\n"

/* All pairs as "NAME=value\n". */
static char *listed(struct span pairs)
{
    static char text[100000];
    struct fcgi_peer_pair pair;
    size_t at = 0, n = 0;

    text[0] = '\0';
    while (at < pairs.n) {
        size_t whole = fcgi_peer_pair(pairs.p + at, pairs.n - at, &pair);
        assert_true(whole > 0);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s=%.*s\n", (int)pair.name_n, (const char *)pair.name,
                              (int)pair.value_n, (const char *)pair.value);
        at += whole;
    }
    return text;
}

static bool has(const char *list, const char *line)
{
    size_t n = strlen(line);

    for (const char *at = list; (at = strstr(at, line)) != NULL; at++)
        if ((at == list || at[-1] == '\n') && (line[n - 1] == '=' || at[n] == '\n'))
            return true;
    return false;
}

static void prepare(struct fcgi_case *c, const char *bytes)
{
    assert_int_equal(fcgi_case_prepare(c, span_of_text(bytes)), FAULT_NONE);
}

static char *write_params(struct fcgi_case *c, unsigned *dropped_out)
{
    struct fcgi_params params;

    assert_int_equal(fcgi_params_write(&c->arena, &c->request, LIMIT, &params), FAULT_NONE);
    if (dropped_out != NULL)
        *dropped_out = params.dropped;
    return listed(params.pairs);
}

static char *params_of(struct fcgi_case *c, const char *bytes)
{
    prepare(c, bytes);
    return write_params(c, NULL);
}

/* Everything that an ordinary request becomes, in order. */
static void all_of_them(void **state)
{
    struct fcgi_case c;

    (void)state;
    fcgi_case_init(&c);
    assert_string_equal(params_of(&c, GET "User-Agent: x y\r\nAccept: */*\r\nCookie: a=1\r\n\r\n"),
                        "GATEWAY_INTERFACE=CGI/1.1\nSERVER_SOFTWARE=upgate\nSERVER_PROTOCOL=HTTP/1.1\nSERVER_NAME=example.com\n"
                        "SERVER_PORT=8080\nSERVER_ADDR=198.51.100.1\nREQUEST_SCHEME=http\nREDIRECT_STATUS=200\n"
                        "REMOTE_ADDR=192.0.2.7\nREMOTE_PORT=4321\n"
                        "SCRIPT_NAME=/index.php\nSCRIPT_FILENAME=/www/index.php\nDOCUMENT_ROOT=/www\nDOCUMENT_URI=/index.php\n"
                        "REQUEST_METHOD=GET\nREQUEST_URI=/a%20b/?q=1&r=%2F\nQUERY_STRING=q=1&r=%2F\n"
                        "HTTP_HOST=Example.com:8443\nHTTP_USER_AGENT=x y\nHTTP_ACCEPT=*/*\nHTTP_COOKIE=a=1\n");
    fcgi_case_free(&c);
    fcgi_case_init(&c);
    c.script_rules = (struct fcgi_script_rules){ .root = SPAN_LITERAL("/www"), .split = SPAN_LITERAL(".php") };
    c.facts.client_https = true;
    assert_string_equal(params_of(&c, "POST http://[2001:db8::1]/d/a.php/p%20q HTTP/1.0\r\nHost: other\r\nContent-Length: 3\r\n"
                                      "Content-Type: text/plain\r\n\r\n"),
                        "GATEWAY_INTERFACE=CGI/1.1\nSERVER_SOFTWARE=upgate\nSERVER_PROTOCOL=HTTP/1.0\nSERVER_NAME=[2001:db8::1]\n"
                        "SERVER_PORT=8080\nSERVER_ADDR=198.51.100.1\nREQUEST_SCHEME=https\nHTTPS=on\nREDIRECT_STATUS=200\n"
                        "REMOTE_ADDR=192.0.2.7\nREMOTE_PORT=4321\n"
                        "SCRIPT_NAME=/d/a.php\nSCRIPT_FILENAME=/www/d/a.php\nPATH_INFO=/p q\nPATH_TRANSLATED=/www/p q\n"
                        "DOCUMENT_ROOT=/www\nDOCUMENT_URI=/d/a.php/p q\n"
                        "REQUEST_METHOD=POST\nREQUEST_URI=/d/a.php/p%20q\nQUERY_STRING=\nCONTENT_LENGTH=3\n"
                        "HTTP_HOST=[2001:db8::1]\nCONTENT_TYPE=text/plain\n");
    fcgi_case_free(&c);
}

struct row {
    const char *name;
    const char *fields;
    const char *due[4];                  /* whole lines, or NAME= in front of anything */
    const char *absent[6];
    unsigned dropped;
    bool trusted;
};

static const struct row rows[] = {
    { "plain", "X-Some-Thing: v\r\n", { "HTTP_X_SOME_THING=v" }, { 0 }, 0, false },
    { "digits", "X1-2: v\r\n", { "HTTP_X1_2=v" }, { 0 }, 0, false },
    { "empty", "X-Empty:\r\n", { "HTTP_X_EMPTY=" }, { 0 }, 0, false },
    { "authorization", "Authorization: Basic eDp5\r\n", { "HTTP_AUTHORIZATION=Basic eDp5" }, { "REMOTE_USER=", "AUTH_TYPE=" },
      0, false },
    { "httpoxy", "Proxy: http://evil\r\n", { 0 }, { "HTTP_PROXY=" }, 0, false },
    { "httpoxy_case", "pRoXy: http://evil\r\n", { 0 }, { "HTTP_PROXY=" }, 0, true },

    { "fold_underscore", "X_Some_Name: evil\r\nX-Some-Name: good\r\n", { "HTTP_X_SOME_NAME=good" }, { 0 }, 1, false },
    { "fold_underscore_alone", "Remote_User: evil\r\n", { 0 }, { "HTTP_REMOTE_USER=", "REMOTE_USER=" }, 1, true },
    { "fold_dot", "X.Some.Name: evil\r\n", { 0 }, { "HTTP_X_SOME_NAME=", "HTTP_X.SOME.NAME=" }, 1, true },
    { "fold_others", "A!B: 1\r\nA#B: 1\r\nA$B: 1\r\nA%B: 1\r\nA&B: 1\r\n"
      "A'B: 1\r\nA*B: 1\r\nA+B: 1\r\nA^B: 1\r\nA`B: 1\r\nA|B: 1\r\nA~B: 1\r\n",
      { 0 }, { "HTTP_A_B=" }, 12, true },
    { "fold_content_length", "Content_Length: 5\r\nContent_Type: x\r\n", { 0 },
      { "CONTENT_LENGTH=", "CONTENT_TYPE=", "HTTP_CONTENT_LENGTH=", "HTTP_CONTENT_TYPE=" }, 2, true },
    { "fold_proxy", "_Proxy: x\r\nProxy_: x\r\n", { 0 }, { "HTTP_PROXY=", "HTTP__PROXY=", "HTTP_PROXY_=" }, 2, true },

    { "names_of_ours", "Script-Filename: /etc/passwd\r\nPath-Info: /x\r\nQuery-String: x\r\n"
      "Document-Root: /\r\nPhp-Value: a=b\r\nPhp-Admin-Value: c=d\r\n",
      { "HTTP_SCRIPT_FILENAME=/etc/passwd", "SCRIPT_FILENAME=/www/index.php", "HTTP_PHP_VALUE=a=b", "DOCUMENT_ROOT=/www" },
      { "PHP_VALUE=", "PHP_ADMIN_VALUE=", "PATH_INFO=" }, 0, false },
    { "names_with_the_prefix", "HTTP-Proxy: x\r\nHTTP-Host: y\r\n", { "HTTP_HTTP_PROXY=x", "HTTP_HTTP_HOST=y", "HTTP_HOST=h" },
      { "HTTP_PROXY=" }, 0, false },
    { "https", "Https: on\r\n", { "REQUEST_SCHEME=http" }, { "HTTPS=", "HTTP_HTTPS=" }, 0, false },

    { "facts_untrusted", "X-Forwarded-For: 1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\n"
      "True-Client-IP: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n",
      { "REMOTE_ADDR=192.0.2.7" },
      { "HTTP_X_FORWARDED_FOR=", "HTTP_X_REAL_IP=", "HTTP_FORWARDED=", "HTTP_TRUE_CLIENT_IP=", "HTTP_X_FORWARDED_PROTO=",
        "HTTPS=" }, 0, false },
    { "facts_trusted", "X-Forwarded-For: 1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n",
      { "HTTP_X_FORWARDED_FOR=1.2.3.4", "HTTP_X_REAL_IP=1.2.3.4", "REMOTE_ADDR=192.0.2.7" }, { 0 }, 0, true },
    { "facts_of_the_operator", "X-Company-User: root\r\nX-Company-Users: u\r\n", { "HTTP_X_COMPANY_USERS=u" },
      { "HTTP_X_COMPANY_USER=" }, 0, false },

    { "hop", "Connection: close\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nProxy-Authorization: x\r\n", { 0 },
      { "HTTP_CONNECTION=", "HTTP_KEEP_ALIVE=", "HTTP_TE=", "HTTP_UPGRADE=", "HTTP_PROXY_AUTHORIZATION=" }, 0, false },
    { "hop_nominated", "Connection: X-One, close\r\nX-One: 1\r\nX-Two: 2\r\n", { "HTTP_X_TWO=2" }, { "HTTP_X_ONE=" }, 0, false },
    { "hop_nominated_in_vain", "Connection: Host, Content-Type\r\nContent-Type: a/b\r\n", { "HTTP_HOST=h", "CONTENT_TYPE=a/b" },
      { 0 }, 0, false },
    { "expect", "Content-Length: 1\r\nExpect: 100-continue\r\n", { "CONTENT_LENGTH=1" },
      { "HTTP_EXPECT=", "HTTP_CONTENT_LENGTH=" }, 0, false },
    { "chunked", "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n", { 0 },
      { "CONTENT_LENGTH=", "HTTP_TRANSFER_ENCODING=", "HTTP_TRAILER=" }, 0, false },
    { "length_0", "Content-Length: 0\r\n", { "CONTENT_LENGTH=0" }, { 0 }, 0, false },
    { "no_length", "", { "HTTP_HOST=h" }, { "CONTENT_LENGTH=", "CONTENT_TYPE=" }, 0, false },

    { "joined", "X-A: 1\r\nX-B: z\r\nx-a: 2\r\nX-A: \r\nX-A: 3\r\n", { "HTTP_X_A=1, 2, , 3", "HTTP_X_B=z" }, { 0 }, 0, false },
    { "joined_cookie", "Cookie: a=1\r\nAccept: x\r\nCOOKIE: b=2\r\n", { "HTTP_COOKIE=a=1; b=2", "HTTP_ACCEPT=x" }, { 0 }, 0,
      false },
    { "joined_content_type", "Content-Type: a/b\r\nContent-Type: c/d\r\n", { "CONTENT_TYPE=a/b, c/d" },
      { "HTTP_CONTENT_TYPE=" }, 0, false },
};

static void run_row(const struct row *row)
{
    static const struct span strip[] = { { (const uint8_t *)"x-company-user", 14 } };
    struct fcgi_case c;
    char bytes[2000], *list;
    unsigned dropped;

    fcgi_case_init(&c);
    c.facts.client_trusted = row->trusted;
    c.facts.strip_also = strip;
    c.facts.strip_also_n = 1;
    snprintf(bytes, sizeof(bytes), "POST /x HTTP/1.1\r\nHost: h\r\n%s\r\n", row->fields);
    prepare(&c, bytes);
    list = write_params(&c, &dropped);
    for (size_t i = 0; i < 4 && row->due[i] != NULL; i++) {
        if (!has(list, row->due[i]))
            fail_msg("%s: no %s in\n%s", row->name, row->due[i], list);
    }
    for (size_t i = 0; i < 6 && row->absent[i] != NULL; i++) {
        if (has(list, row->absent[i]))
            fail_msg("%s: %s in\n%s", row->name, row->absent[i], list);
    }
    assert_int_equal(dropped, row->dropped);
    fcgi_case_free(&c);
}

static void fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        run_row(&rows[i]);
}

/* The operator's and the gateway's own stand in place of others, once. */
static void own(void **state)
{
    const struct field own_fields[] = {
        { SPAN_LITERAL("REMOTE_USER"), SPAN_LITERAL("alice") }, { SPAN_LITERAL("APP_ENV"), SPAN_LITERAL("production") },
        { SPAN_LITERAL("SERVER_NAME"), SPAN_LITERAL("fixed") }, { SPAN_LITERAL("HTTP_X_ENV"), SPAN_LITERAL("ours") },
        { SPAN_LITERAL("REMOTE_USER"), SPAN_LITERAL("bob") },   { SPAN_LITERAL("HTTPS"), SPAN_LITERAL("") },
        { SPAN_LITERAL("HTTP_HOST"), SPAN_LITERAL("ours") },    { SPAN_LITERAL("CONTENT_TYPE"), SPAN_LITERAL("t") },
        { SPAN_LITERAL("DOCUMENT_URI"), SPAN_LITERAL("u") },
    };
    struct fcgi_case c;
    char *list;

    (void)state;
    fcgi_case_init(&c);
    c.facts.client_https = true;
    c.request.own = own_fields;
    c.request.own_n = sizeof(own_fields) / sizeof(own_fields[0]);
    list = params_of(&c, GET "X-Env: evil\r\nX-Env2: 2\r\nContent-Type: evil\r\n\r\n");
    assert_true(has(list, "REMOTE_USER=alice") && has(list, "APP_ENV=production") && has(list, "SERVER_NAME=fixed"));
    assert_true(has(list, "HTTP_X_ENV=ours") && has(list, "HTTP_X_ENV2=2") && has(list, "HTTPS=") && has(list, "HTTP_HOST=ours"));
    assert_true(has(list, "CONTENT_TYPE=t") && has(list, "DOCUMENT_URI=u"));
    assert_false(has(list, "REMOTE_USER=bob") || has(list, "HTTP_X_ENV=evil") || has(list, "SERVER_NAME=example.com"));
    assert_false(has(list, "HTTP_HOST=Example.com:8443") || has(list, "CONTENT_TYPE=evil") || has(list, "HTTPS=on"));
    assert_false(has(list, "DOCUMENT_URI=/index.php"));
    fcgi_case_free(&c);
}

/* Behind trusted hops, it is the client that they name. */
static void real_client(void **state)
{
    struct fcgi_case c;
    char *list;

    (void)state;
    fcgi_case_init(&c);
    c.facts.real_address = SPAN_LITERAL("203.0.113.9");
    list = params_of(&c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(has(list, "REMOTE_ADDR=203.0.113.9"));
    assert_null(strstr(list, "REMOTE_PORT"));                /* the field did not tell it, and the hop's is not his */
    assert_null(strstr(list, "192.0.2.7"));
    c.facts.real_port = 56324;
    list = write_params(&c, NULL);
    assert_true(has(list, "REMOTE_PORT=56324"));
    fcgi_case_free(&c);
}

static void without_facts(void **state)
{
    struct fcgi_case c;
    char *list;

    (void)state;
    fcgi_case_init(&c);
    c.script_rules = (struct fcgi_script_rules){ .root = SPAN_EMPTY };
    c.facts.client_address = SPAN_LITERAL("unix");
    c.facts.client_port = 0;
    c.request.server_port = 0;
    assert_true(has(params_of(&c, "GET /a%2fb HTTP/1.0\r\n\r\n"), "SERVER_NAME=198.51.100.1"));
    c.request.server_address = c.request.document_root = SPAN_EMPTY;
    list = write_params(&c, NULL);
    assert_true(has(list, "SERVER_NAME=") && has(list, "SERVER_PORT=80") && has(list, "REMOTE_ADDR=unix"));
    assert_true(has(list, "SCRIPT_NAME=") && has(list, "PATH_INFO=/a/b") && has(list, "DOCUMENT_URI=/a/b"));
    assert_true(has(list, "REQUEST_URI=/a%2fb") && has(list, "QUERY_STRING="));
    assert_null(strstr(list, "SERVER_ADDR"));
    assert_null(strstr(list, "REMOTE_PORT"));
    assert_null(strstr(list, "SCRIPT_FILENAME"));
    assert_null(strstr(list, "PATH_TRANSLATED"));
    assert_null(strstr(list, "DOCUMENT_ROOT"));
    assert_null(strstr(list, "HTTP_HOST"));
    c.facts.client_https = true;
    assert_true(has(write_params(&c, NULL), "SERVER_PORT=443"));
    fcgi_case_free(&c);
}

/* Lengths on both sides of one byte, in names and values. */
static void long_pairs(void **state)
{
    static const size_t lengths[] = { 1, 122, 123, 126, 127, 128, 129, 5000 };
    static char bytes[20000], name[6000], value[6000], due[13000];

    (void)state;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        for (size_t j = 0; j < sizeof(lengths) / sizeof(lengths[0]); j++) {
            struct fcgi_case c;

            fcgi_case_init(&c);
            memset(name, 'x', lengths[i]);
            memset(value, 'v', lengths[j]);
            name[lengths[i]] = value[lengths[j]] = '\0';
            snprintf(bytes, sizeof(bytes), "%s%s: %s\r\n\r\n", GET, name, value);
            memset(name, 'X', lengths[i]);
            snprintf(due, sizeof(due), "HTTP_%s=%s", name, value);
            assert_true(has(params_of(&c, bytes), due));
            fcgi_case_free(&c);
        }
    }
}

static void limit(void **state)
{
    struct fcgi_params params;
    struct fcgi_case c;
    size_t need;

    (void)state;
    fcgi_case_init(&c);
    prepare(&c, GET "X-A: 1\r\nX-A: 2\r\nContent-Type: x\r\n\r\n");
    assert_int_equal(fcgi_params_write(&c.arena, &c.request, LIMIT, &params), FAULT_NONE);
    need = params.pairs.n;
    for (size_t bytes = 0; bytes < need; bytes++)
        assert_int_equal(fcgi_params_write(&c.arena, &c.request, bytes, &params), FAULT_FCGI_PARAMS);
    assert_int_equal(fcgi_params_write(&c.arena, &c.request, need, &params), FAULT_NONE);
    assert_int_equal(params.pairs.n, need);
    fcgi_case_free(&c);
}

/* FastCGI section 6.1: no value holds a NUL. The parser lets none through; this is for whoever else asks. */
static void nul_in_a_value(void **state)
{
    const struct field nul = { SPAN_LITERAL("X"), SPAN_LITERAL("a\0b") };
    struct fcgi_params params;
    struct fcgi_case c;

    (void)state;
    fcgi_case_init(&c);
    prepare(&c, GET "X-A: 1\r\n\r\n");
    c.request.own = &nul;
    c.request.own_n = 1;
    assert_int_equal(fcgi_params_write(&c.arena, &c.request, LIMIT, &params), FAULT_FIELD);
    c.request.own_n = 0;
    c.head->fields.fields[1].value = nul.value;
    assert_int_equal(fcgi_params_write(&c.arena, &c.request, LIMIT, &params), FAULT_FIELD);
    fcgi_case_free(&c);
}

static void no_memory(void **state)
{
    struct fcgi_params params;
    enum fault fault = FAULT_NO_MEMORY;
    struct fcgi_case c;

    (void)state;
    for (size_t nth = 1; fault == FAULT_NO_MEMORY; nth++) {
        fcgi_case_init(&c);
        mem_fail_nth(nth);
        fault = fcgi_case_prepare(&c, SPAN_LITERAL(GET "X-A: 1\r\n\r\n"));
        if (fault == FAULT_NONE)
            fault = fcgi_params_write(&c.arena, &c.request, LIMIT, &params);
        assert_true(fault == FAULT_NONE || fault == FAULT_NO_MEMORY);
        fcgi_case_free(&c);
        mem_fail_nth(0);
        assert_int_equal(mem_live_blocks(), 0);
    }
    fcgi_case_init(&c);
    prepare(&c, GET "\r\n");
    for (size_t cap = 0; cap < 4000; cap += 7) {
        struct arena a;

        arena_init(&a, cap);
        fault = fcgi_params_write(&a, &c.request, LIMIT, &params);
        assert_int_equal(fault, cap < 1000 ? FAULT_NO_MEMORY : cap > 3000 ? FAULT_NONE : fault);
        arena_free(&a);
    }
    fcgi_case_free(&c);
}

/* ---- random heads against a slow model ---- */

#define FIELDS 12

struct model {
    char name[FIELDS][40], value[FIELDS][20];
    size_t n;
};

static void random_field(struct chance *c, char *name, char *value)
{
    static const char *const names[] = {
        "X-A", "x-a", "X_A", "X-B", "Cookie", "cookie", "Proxy", "X-Forwarded-For", "Content-Type", "X.A", "Connection", "Host-X",
        "Expect-X", "Https", "Script-Name", "Te", "A", "0", "-", "X--A",
    };
    size_t n = chance_below(c, 12);

    snprintf(name, 40, "%s", names[chance_below(c, sizeof(names) / sizeof(names[0]))]);
    for (size_t i = 0; i < n; i++)
        value[i] = (char)('!' + chance_below(c, 90));
    value[n] = '\0';
    if (strcmp(name, "Connection") == 0)
        snprintf(value, 20, "%s", chance_one_in(c, 2) ? "X-B" : "close");
}

static void fold(const char *name, char *out)
{
    size_t n = 0;

    for (; name[n] != '\0'; n++)
        out[n] = (char)(name[n] >= 'a' && name[n] <= 'z' ? name[n] - 32 : name[n] == '-' ? '_' : name[n]);
    out[n] = '\0';
}

/* What is due of the field at i, or nothing: the whole line. */
static void model_line(const struct model *m, size_t i, char *line, size_t room)
{
    static const char *const never[] = { "PROXY", "X_FORWARDED_FOR", "CONNECTION", "HTTPS", "TE" };
    char variable[40], other[40];
    size_t n;

    line[0] = '\0';
    if (strpbrk(m->name[i], "_.") != NULL)
        return;
    fold(m->name[i], variable);
    for (size_t k = 0; k < sizeof(never) / sizeof(never[0]); k++)
        if (strcmp(variable, never[k]) == 0)
            return;
    for (size_t k = 0; k < m->n; k++)
        if (strcmp(m->name[k], "Connection") == 0 && strcmp(m->value[k], "X-B") == 0 && strcmp(variable, "X_B") == 0)
            return;
    n = (size_t)snprintf(line, room, "%s%s=%s", strcmp(variable, "CONTENT_TYPE") == 0 ? "" : "HTTP_", variable, m->value[i]);
    for (size_t k = 0; k < m->n; k++) {
        fold(m->name[k], other);
        if (k == i || strpbrk(m->name[k], "_.") != NULL || strcmp(other, variable) != 0)
            continue;
        if (k < i) {                     /* told with the first of its name */
            line[0] = '\0';
            return;
        }
        n += (size_t)snprintf(line + n, room - n, "%s%s", strcmp(variable, "COOKIE") == 0 ? "; " : ", ", m->value[k]);
    }
}

static void random_heads(void **state)
{
    struct chance chance = chance_seeded("fcgi_params");

    (void)state;
    for (int round = 0; round < 3000; round++) {
        char bytes[2000] = GET, due[1000], *list;
        struct model m = { .n = chance_below(&chance, FIELDS + 1) };
        size_t n = strlen(bytes), lines = 0, client_lines = 0;
        struct fcgi_case c;

        for (size_t i = 0; i < m.n; i++) {
            random_field(&chance, m.name[i], m.value[i]);
            n += (size_t)snprintf(bytes + n, sizeof(bytes) - n, "%s: %s\r\n", m.name[i], m.value[i]);
        }
        snprintf(bytes + n, sizeof(bytes) - n, "\r\n");
        fcgi_case_init(&c);
        list = params_of(&c, bytes);
        for (size_t i = 0; i < m.n; i++) {
            model_line(&m, i, due, sizeof(due));
            if (due[0] != '\0' && !has(list, due))
                fail_msg("no %s in\n%s", due, list);
            lines += due[0] != '\0';
        }
        for (char *at = list; *at != '\0'; at = strchr(at, '\n') + 1)
            client_lines += strncmp(at, "HTTP_", 5) == 0 || strncmp(at, "CONTENT_TYPE", 12) == 0;
        assert_int_equal(client_lines, lines + 1);       /* and HTTP_HOST */
        fcgi_case_free(&c);
    }
}

/* What the operator sets and adds becomes HTTP_*, and of the client's fields of that name nothing does. */
static void changes(void **state)
{
    static const struct field set[] = { { SPAN_LITERAL("X-Env"), SPAN_LITERAL("prod") }, { SPAN_LITERAL("X_My.Name"), SPAN_LITERAL("1") },
                                        { SPAN_LITERAL("Content-Type"), SPAN_LITERAL("text/x") } };
    static const struct field add[] = { { SPAN_LITERAL("X-List"), SPAN_LITERAL("b") } };
    static char cookie[] = "Cookie";
    static char *const removed[] = { cookie };
    const struct rules_changes c1 = { .set = set, .set_n = 3, .next = NULL };
    const struct rules_changes c2 = { .add = add, .add_n = 1, .remove = removed, .remove_n = 1, .next = &c1 };
    struct fcgi_case c;
    char *list;

    (void)state;
    fcgi_case_init(&c);
    prepare(&c, GET "X-Env: evil\r\nx-ENV: evil\r\nX-List: a\r\nCookie: a=1\r\nContent-Type: t/y\r\n\r\n");
    c.facts.changes = &c2;
    list = write_params(&c, NULL);
    assert_true(has(list, "HTTP_X_ENV=prod") && has(list, "HTTP_X_MY_NAME=1") && has(list, "HTTP_X_LIST=a, b"));
    assert_true(has(list, "CONTENT_TYPE=text/x"));
    assert_null(strstr(list, "evil"));
    assert_null(strstr(list, "COOKIE"));
    assert_null(strstr(list, "t/y"));
    fcgi_case_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_them),
        cmocka_unit_test(fields),
        cmocka_unit_test(own),
        cmocka_unit_test(changes),
        cmocka_unit_test(real_client),
        cmocka_unit_test(without_facts),
        cmocka_unit_test(long_pairs),
        cmocka_unit_test(limit),
        cmocka_unit_test(nul_in_a_value),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(random_heads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
