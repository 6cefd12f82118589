"""Which upstream a request goes to: host, path, method, listener; no way around a rule."""
from harness import check, same
from messages import read_response, request, response


def named(t, name):
    return t.app(lambda seen: response(200, name.encode(), [("X-Target", seen.target)]))


def routed(t, routes, upstreams, **changes):
    servers = {name: {"servers": [{"address": named(t, name).address}]} for name in upstreams}
    return t.gateway(upstreams=servers, routes=routes, **changes)


def answer(t, gateway, target="/", host="test.example", method="GET", index=0):
    client = t.client(gateway, index)
    client.send(request(method, target, host=host, fields=[("Connection", "close")]))
    reply = read_response(client, method)
    client.close()
    return reply.body.decode() if reply.status == 200 else reply.status


def test_by_host(t):
    gateway = routed(t, [{"match": {"host": "a.example"}, "upstream": "a"}, {"match": {"host": "b.example"}, "upstream": "b"}],
                     ["a", "b"])
    for host, due in [("a.example", "a"), ("b.example", "b"), ("A.EXAMPLE", "a"), ("a.example:8080", "a"), ("a.example.", "a"),
                      ("c.example", 404), ("xa.example", 404), ("a.example.evil", 404)]:
        same(answer(t, gateway, host=host), due, host)


def test_by_wildcard_host(t):
    gateway = routed(t, [{"match": {"host": "*.example"}, "upstream": "a"}], ["a"])
    for host, due in [("x.example", "a"), ("y.x.example", "a"), ("example", 404), ("xexample", 404)]:
        same(answer(t, gateway, host=host), due, host)


def test_by_path_prefix_on_segment_borders(t):
    gateway = routed(t, [{"match": {"path": "/app"}, "upstream": "a"}, {"match": {"path": "/other/"}, "upstream": "b"}],
                     ["a", "b"])
    for target, due in [("/app", "a"), ("/app/", "a"), ("/app/x", "a"), ("/app?x", "a"), ("/apple", 404), ("/ap", 404),
                        ("/other/x", "b"), ("/App", 404), ("/x/app", 404)]:
        same(answer(t, gateway, target), due, target)


def test_by_exact_path(t):
    gateway = routed(t, [{"match": {"exact": "/one"}, "upstream": "a"}], ["a"])
    for target, due in [("/one", "a"), ("/one?x=1", "a"), ("/one/", 404), ("/one/two", 404)]:
        same(answer(t, gateway, target), due, target)


def test_by_method(t):
    gateway = routed(t, [{"match": {"methods": ["GET", "HEAD"]}, "upstream": "a"},
                         {"match": {"methods": ["POST"]}, "upstream": "b"}],
                     ["a", "b"])
    for method, due in [("GET", "a"), ("POST", "b"), ("PUT", 404), ("get", 404)]:
        same(answer(t, gateway, method=method), due, method)


def test_by_listener(t):
    gateway = routed(t, [{"match": {"listener": "inner"}, "upstream": "a"}, {"match": {"path": "/"}, "upstream": "b"}],
                     ["a", "b"],
                     listeners=[{"address": "127.0.0.1:0", "name": "outer"}, {"address": "127.0.0.1:0", "name": "inner"}])
    by_index = [answer(t, gateway, index=0), answer(t, gateway, index=1)]
    same(sorted(by_index), ["a", "b"], "upstreams of the two listeners")


def test_first_match_wins(t):
    gateway = routed(t, [{"match": {"path": "/a/b"}, "upstream": "b"}, {"match": {"path": "/a"}, "upstream": "a"},
                         {"match": {"path": "/a/c"}, "upstream": "b"}], ["a", "b"])
    for target, due in [("/a/b/x", "b"), ("/a/x", "a"), ("/a/c", "a")]:
        same(answer(t, gateway, target), due, target)


def test_absolute_form_decides_over_host(t):
    gateway = routed(t, [{"match": {"host": "a.example"}, "upstream": "a"}, {"match": {"host": "b.example"}, "upstream": "b"}],
                     ["a", "b"])
    same(answer(t, gateway, "http://b.example/", host="a.example"), "b", "upstream")


def test_no_way_around_a_path_rule(t):
    """A target that a backend could read as another path is routed as that path, or refused; it never slips past."""
    gateway = routed(t, [{"match": {"path": "/public"}, "upstream": "public"}], ["public"])
    for target in ["/public/../admin", "/public/..%2fadmin", "/public/%2e%2e/admin", "/public/.%2E/admin",
                   "/public/%2e%2e%2fadmin",
                   "/public//../../admin", "/public/..\\admin", "/public/..%5cadmin", "/public/x/../../admin", "/public/..",
                   "/../admin", "/public/%00/../../admin", "/public/..%252f/../../admin"]:
        got = answer(t, gateway, target)
        check(got in (400, 404), "%s went to %r", target, got)


def test_a_rule_sees_encoded_spellings(t):
    """What a backend reads as /admin goes where /admin goes."""
    gateway = routed(t, [{"match": {"path": "/admin"}, "upstream": "guarded"}, {"match": {"path": "/"}, "upstream": "open"}],
                     ["guarded", "open"])
    for target in ["/%61dmin", "/x/../admin", "//admin", "/./admin", "/x/%2e%2e/admin", "/adm%69n/y"]:
        got = answer(t, gateway, target)
        check(got in ("guarded", 400), "%s went to %r", target, got)


def test_route_timeouts_override(t):
    backend = t.backend()
    gateway = t.simple(backend, route_timeouts={"response": "200ms"})
    client = t.client(gateway).send(request())
    backend.accept()
    same(read_response(client).status, 504, "status")


def test_round_robin_and_weights(t):
    gateway = t.gateway(upstreams={"app": {"servers": [{"address": named(t, "a").address, "weight": 2},
                                                       {"address": named(t, "b").address}]}},
                        routes=[{"match": {"path": "/"}, "upstream": "app"}])
    seen = [answer(t, gateway) for _ in range(30)]
    same((seen.count("a"), seen.count("b")), (20, 10), "requests by server")
