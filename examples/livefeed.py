"""Follows LiveFeed and prints every record as one line of JSON; whatever else is said goes to stderr.

Comes back with its cursor when the stream ends for a reason that passes, and with a new token when the old one has
expired, so that no record is missed and none comes twice.

    export GLADHAND_API_KEY=<the API key>
    python3 examples/livefeed.py [--at 127.0.0.1:8081] [--rest http://127.0.0.1:8080] [--snapshot] [--cursor <cursor>]
            [--fleet <id>]... [--trailer <id or VIN>]... [--signals gps]... [--proto <folder>]

Needs nothing of the server's code: only grpcio, grpcio-tools, and the two proto files of LiveFeed.
"""

import argparse
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request

import grpc
from google.protobuf.json_format import MessageToJson

PROTO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "packages", "contract", "proto")


def read_arguments():
    parser = argparse.ArgumentParser(
        description="Follows LiveFeed.",
        epilog="The API key is read from GLADHAND_API_KEY: everybody on a machine can read arguments.",
    )
    parser.add_argument("--at", default="127.0.0.1:8081", help="host and port of LiveFeed")
    parser.add_argument("--rest", default="http://127.0.0.1:8080", help="where the key is traded for a token")
    parser.add_argument("--snapshot", action="store_true", help="begin with the latest values")
    parser.add_argument("--cursor", default="", help="go on after this cursor")
    parser.add_argument("--fleet", action="append", default=[])
    parser.add_argument("--trailer", action="append", default=[])
    parser.add_argument("--signals", action="append", default=[])
    parser.add_argument("--proto", default=PROTO, help="folder with gladhand/livefeed/v1/livefeed.proto")
    return parser.parse_args()


def say(text):
    print(text, file=sys.stderr, flush=True)


def trade(rest):
    """Trades the API key for an access token; says why not, and ends."""
    request = urllib.request.Request(
        f"{rest}/api/v1/customers/authenticate",
        method="POST",
        headers={"X-API-KEY": os.environ["GLADHAND_API_KEY"]},
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["accessToken"]
    except urllib.error.HTTPError as error:
        problem = json.load(error)
        say(f"authenticate: {error.code} {problem['code']}: {problem['detail']}")
        sys.exit(1)


def as_line(message):
    return MessageToJson(message, indent=None)


class Follower:
    def __init__(self, arguments):
        # grpcio-tools compiles the files when they are loaded; they are looked for where Python looks for modules.
        sys.path.append(arguments.proto)
        self.protos, services = grpc.protos_and_services("gladhand/livefeed/v1/livefeed.proto")
        self.arguments = arguments
        self.cursor = arguments.cursor
        self.token = trade(arguments.rest)
        # A token that worked has expired; one that never did is no good.
        self.has_worked = False
        self.live_feed = services.LiveFeedStub(grpc.insecure_channel(arguments.at))

    def follow(self):
        """Reads until the stream ends, which always ends in a grpc.RpcError or, by the server's wish, quietly."""
        asked = self.arguments
        request = self.protos.SubscribeRequest(
            filter=self.protos.Filter(fleets=asked.fleet, trailers=asked.trailer, signals=asked.signals),
            cursor=self.cursor,
            snapshot=asked.snapshot and self.cursor == "",
        )
        for message in self.live_feed.Subscribe(request, metadata=[("authorization", f"Bearer {self.token}")]):
            self.has_worked = True
            event = message.WhichOneof("event")
            for record in message.records.records:
                print(as_line(record), flush=True)
            for asset in message.snapshot.assets:
                print(as_line(asset), flush=True)
            if event == "gap":
                say(f"gap: {message.gap.reason}")
            if event == "heartbeat":
                say(f"alive, cursor {message.cursor}")
            # Only now: what is before the cursor has been dealt with.
            if message.cursor:
                self.cursor = message.cursor


def main():
    if not os.environ.get("GLADHAND_API_KEY"):
        say("Set GLADHAND_API_KEY to the API key: arguments could be read by everybody on this machine.")
        return 2
    follower = Follower(read_arguments())
    passes = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
    try:
        while True:
            try:
                follower.follow()
            except grpc.RpcError as error:
                say(f"{error.code().name}: {error.details()}")
                if error.code() == grpc.StatusCode.UNAUTHENTICATED and follower.has_worked:
                    follower.token = trade(follower.arguments.rest)
                    follower.has_worked = False
                elif error.code() not in passes:
                    return 1
            time.sleep(0.5 + random.random())
    except KeyboardInterrupt:
        say(f"\nTo continue from here: --cursor {follower.cursor}")
        return 0
    except BrokenPipeError:
        # Whoever reads this output, `head` for one, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
