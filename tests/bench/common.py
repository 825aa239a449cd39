"""What the benchmark scripts share: child processes, medians, tables."""
import json
import os
import statistics
import subprocess
import sys

DEFAULT_NETWORKS = ("fr_feature", "fr_detect", "fr_landmark")


class BenchError(Exception):
    """Something that the person who runs the script can mend; the message says how."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def shared_models():
    """The directory of further networks, which may not be there."""
    return os.path.join(os.environ.get("FM_SHARED_DATA", "../shared/data"), "models")


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return os.uname().machine


def pin_from_environment():
    """CPU=N keeps this process and its children on one core."""
    cpu = os.environ.get("CPU")
    if cpu:
        try:
            os.sched_setaffinity(0, {int(cpu)})
        except (ValueError, OSError) as error:
            raise BenchError(f"CPU={cpu}: {error}") from error
    return cpu or "any"


def bench_net(build, model, precision, seconds, isa=None, threads=1, size=None):
    """facematchctl's measurement, or a string that says why there is none."""
    environment = dict(os.environ)
    environment.pop("FACEMATCH_ISA", None)
    if isa:
        environment["FACEMATCH_ISA"] = isa
    done = subprocess.run(
        [f"{build}/facematchctl", "bench", "net", model, "--precision", precision, "--threads", str(threads),
         "--seconds", str(seconds), "--json", *(["--size", size] if size else [])],
        env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return done.stderr.strip().removeprefix("facematchctl: ")
    return json.loads(done.stdout)


def median(values):
    return statistics.median(values)


def print_table(rows):
    """Rows of equal length, the first of them the heads: Markdown with aligned columns, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    right = [all(row[i][:1].isdigit() or row[i] in ("", "-") for row in rows[1:]) for i in range(len(widths))]
    for number, row in enumerate(rows):
        cells = (cell.rjust(width) if to_right else cell.ljust(width)
                 for cell, width, to_right in zip(row, widths, right))
        print("| " + " | ".join(cells) + " |")
        if number == 0:
            print("| " + " | ".join("-" * (w - 1) + ":" if r else "-" * w for w, r in zip(widths, right)) + " |")


def run(main):
    try:
        sys.exit(main())
    except BenchError as error:
        say(f"{os.path.basename(sys.argv[0])}: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
