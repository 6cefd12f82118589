"""The guide: its configurations are good, its links lead somewhere, and its lists have what the code has, no more and no less."""
import os
import re
import subprocess

import harness
from harness import check, same
from test_examples import files

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def pages():
    return ["docs/" + name for name in sorted(os.listdir(os.path.join(ROOT, "docs"))) if name.endswith(".md")] + ["README.md"]


def configurations(page):
    """What stands in ```yaml blocks, and in indented ones that begin with listeners."""
    text = text_of(page)
    found = re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    for block in re.findall(r"(?:^(?:    .*)?\n)+", text, re.M):
        plain = "\n".join(line[4:] for line in block.split("\n")).strip("\n") + "\n"
        if plain.startswith("listeners:"):
            found.append(plain)
    return found


def test_every_configuration_is_good(t):
    files(t)
    t.write("users", "ann:$2y$05$abcdefghijklmnopqrstuuS1Dqbn4mUTj4b2nVpFVGbyHSgNDeLzW\n")
    key = subprocess.run([t.binary, "sticky-key"], capture_output=True, text=True, timeout=60, check=True, env=harness.sanitizer_environment())
    t.write("sticky.key", key.stdout)
    for name in ["users", "sticky.key"]:
        os.chmod(t.path(name), 0o600)
    n = 0
    for page in pages():
        for text in configurations(page):
            n += 1
            if "routes:" not in text:                    # it shows listeners and upstreams alone
                text += "routes: [{ upstream: app }]\n"
            path = t.write("page.yaml", text.replace("/etc/upgate/", t.folder + "/").replace("/var/log/upgate/", t.folder + "/"))
            done = subprocess.run([t.binary, "-t", "-c", path], capture_output=True, text=True, timeout=60, check=False,
                                  env=harness.sanitizer_environment())
            same(done.returncode, 0, "exit code for a configuration in %s (%s)" % (page, done.stderr))
            check("warning:" not in done.stderr, "%s: %s", page, done.stderr)
    check(n > 15, "%d configurations", n)


def test_links_lead_somewhere(t):
    for page in pages() + ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]:
        for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", text_of(page)):
            check(os.path.exists(os.path.join(ROOT, os.path.dirname(page), link)), "%s: nothing is at %s", page, link)


def words(text):
    """What the first column of the tables has in backquotes."""
    return {word for row in re.findall(r"^\|([^|]+)\|", text, re.M) for word in re.findall(r"`([a-z_]+)`", row)}


def test_every_field_of_the_access_log_is_described(t):
    source = text_of("gateway", "access_log.c")
    written = set(re.findall(r'(?:put_text|put_number|put_text_if_any|open_object|json_direction)\(l, "(\w+)"', source)) | {"time", "frames"}
    inner = {"n", "min", "avg", "max"}                   # of rtt_ms
    same(sorted(words(text_of("docs", "logs.md"))), sorted(written - inner), "fields")


def test_every_end_reason_is_described(t):
    known = set(re.findall(r'^    E\(\w+, "(\w+)"', text_of("gateway", "end_reason.h"), re.M)) - {"none"}
    text = text_of("docs", "troubleshooting.md")
    described = set(re.findall(r"`([a-z_]+)`", text))
    same(sorted(known - described), [], "end reasons that the guide does not know")
    listed = words(text[text.index("## End reasons"):text.index("## It does not start")])
    same(sorted(listed - known), [], "words that are no end reasons")


def test_deploy_files(t):
    try:
        import yaml
    except ImportError:
        raise harness.Skip("python3-yaml is not installed") from None
    service = yaml.safe_load(text_of("conf", "deploy", "compose.yaml"))["services"]["gateway"]
    check(os.path.exists(os.path.join(ROOT, service["build"]["dockerfile"])), "%r", service["build"])
    check(int(service["stop_grace_period"].rstrip("s")) > 30, "the grace period is less than drain_spread")
    things = {thing["kind"]: thing for thing in yaml.safe_load_all(text_of("conf", "deploy", "kubernetes.yaml"))}
    same(sorted(things), ["Deployment", "PodDisruptionBudget", "Service"], "kinds")
    labels = things["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in [things["Deployment"]["spec"]["selector"]["matchLabels"], things["Service"]["spec"]["selector"],
                     things["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]]:
        same(selector, labels, "labels")
    pod = things["Deployment"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    check(pod["terminationGracePeriodSeconds"] > 30 + int(container["lifecycle"]["preStop"]["exec"]["command"][1]), "the grace period is too short")
    ports = {port["name"] for port in container["ports"]}
    check(things["Service"]["spec"]["ports"][0]["targetPort"] in ports, "%r", ports)
    same({mount["name"] for mount in container["volumeMounts"]}, {volume["name"] for volume in pod["volumes"]}, "volumes")


def test_the_dockerfile_installs_what_it_copies(t):
    text = text_of("conf", "deploy", "Dockerfile")
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.M))
    for line in filter(None, joined.split("\n")):
        check(re.match(r"(FROM|RUN|COPY|WORKDIR|USER|EXPOSE|STOPSIGNAL|ENTRYPOINT|CMD) \S", line), "%s", line)
    same(re.findall(r"^FROM \S+(?: AS (\w+))?", joined, re.M), ["build", ""], "stages")
    check(re.search(r"^COPY --from=build ", joined, re.M), "nothing comes out of the build")
    for option in re.findall(r"-D(\w+)=", joined):
        check("option(%s " % option in text_of("CMakeLists.txt"), "%s is no option", option)
