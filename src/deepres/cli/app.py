"""deepres app: a local page on which one drops a picture and sees what a network sees in it."""

import argparse
import logging
import socket
import webbrowser
from functools import partial

from deepres.app.hosts import is_anywhere, is_local
from deepres.cli.terminal import say, show
from deepres.errors import UserError
from deepres.extras import optional_package
from deepres.models import load_classifier
from deepres.pretrained import find_weights
from deepres.run_places import RUNS
from deepres.runtime import make_repeatable, resolve_device


def call(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C."""
    optional_package("flask", "app", "the page needs")
    from werkzeug.serving import make_server  # it comes with Flask

    from deepres.app.choices import choices
    from deepres.app.server import create_app

    device = resolve_device(options.device)
    make_repeatable(device)
    given = [(name, find_weights(name, options.source, say)) for name in options.subjects]
    found = partial(choices, given, RUNS)
    for _, weights in given:
        load_classifier(weights)  # else what cannot be loaded would be left out in silence
    if not found():
        raise UserError("there are no weights of a classifier; name some, e.g. deepres app RUN")
    with _listening(options.host, options.port) as listener:
        host, port = options.host, listener.getsockname()[1]
        app = create_app(found, device, host)
        server = make_server(host, port, app, threaded=True, fd=listener.fileno())
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # each request would be a line
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        if not is_local(host):
            reached = "this machine" if is_anywhere(host) else host
            say(f"whoever reaches {reached} can use the page")
        show(f"{address} (Ctrl-C ends it)")
        if options.open and not webbrowser.open(address):
            say(f"no browser to be found; open {address} yourself")
        server.serve_forever()
    return 0


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UserError: the port is taken, or there is no such address.
    """
    if not 0 <= port < 1 << 16:
        raise UserError(f"--port must be from 0 to 65535, got {port}")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]  # the address is said anyway
        raise UserError(
            f"cannot listen on {host}, port {port}: {reason}; choose another by --port (0: any "
            "that is free) or --host"
        ) from error
