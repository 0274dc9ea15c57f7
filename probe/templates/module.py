#!/usr/bin/env python3
"""example_module: receives two numbers, FOO and BAR, and sends them with their sum BAZ."""
import argparse

import trap

IN = "uint32 FOO,uint32 BAR"
OUT = "uint32 FOO,uint32 BAR,uint32 BAZ"


def run():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-i", required=True, metavar="IN,OUT", help="interfaces, such as u:in,u:out or f:in.trap,f:out.trap")
    parser.add_argument("-m", "--mult", type=int, default=1, help="multiply the sum by this number")
    args = parser.parse_args()
    source, target = trap.interfaces(args.i, 2)
    out = trap.Output(target, OUT)
    # Senders without these fields are refused, further ones are welcome.
    for record in trap.Input(source, needs=IN):
        total = (record["FOO"] + record["BAR"]) * args.mult % 2**32
        out.send({"FOO": record["FOO"], "BAR": record["BAR"], "BAZ": total})
    out.close()


if __name__ == "__main__":
    trap.main(run)
