"""Opens a page with the SDK in a headless browser; the DSN is in SENTRY_DSN.

The page's server is this program, so that Picket is of another origin. It ends when the page says that it is
done, and prints the ids that the page says.

Usage: visit.py BROWSER SCRIPT [preflight], with the folder BROWSER that `run` unpacked.
"""

import os
import queue
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

PAGE_SECS_MAX = 50
PAGE = b"<!doctype html><title>Shop</title><h1>A basket</h1><script src=/page.js></script>"


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/page.js":
            self._answer("text/javascript", self.server.script)
        else:
            self._answer("text/html", PAGE)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self._answer("text/plain", b"")
        self.server.done.put(body.decode())

    def _answer(self, content_type, body):
        self.send_response(200)
        self.send_header("content-type", f"{content_type}; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    folder, script, *scenario = sys.argv[1:]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.script = Path(script).read_bytes()
    server.done = queue.Queue()
    threading.Thread(target=server.serve_forever, daemon=True).start()

    query = urlencode({"dsn": os.environ["SENTRY_DSN"]} | {name: "" for name in scenario})
    page = f"http://localhost:{server.server_port}/?{query}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        # It runs as root where CI does, which its sandbox refuses.
        flags = ["--headless", "--no-sandbox", "--no-proxy-server", "--disable-gpu", "--disable-webgl"]
        with open(Path(home) / "log", "w+b") as log:
            browser = subprocess.Popen(
                [f"{folder}/chromium", *flags, f"--user-data-dir={home}", page],
                env=os.environ
                | {"HOME": home, "LD_LIBRARY_PATH": f"{folder}/lib", "FONTCONFIG_PATH": folder},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            try:
                print(server.done.get(timeout=PAGE_SECS_MAX))
            except queue.Empty:
                log.seek(0)
                raise SystemExit(f"the page is not done:\n{log.read().decode(errors='replace')}")
            finally:
                browser.kill()
                browser.wait()


if __name__ == "__main__":
    main()
