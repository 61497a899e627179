"""Writes gzip.json: texts, and what the gzip command makes of them.

    python3 Tests/Fixtures/gzip/generate.py
"""

import json
import random
import subprocess
from pathlib import Path


def gzip(data, *options):
    return subprocess.run(["gzip", "-n", "-c", *options], input=data, capture_output=True, check=True).stdout


random.seed(1)
csv = b"a,b,y\n" + b"".join(b"%d,%.3f,%.2f\n" % (n, random.random(), n / 4) for n in range(40))
# An IDX file of 3 images of 2 x 2, and the labels.
images = bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2] + [0, 255, 51, 102, 1, 2, 3, 4, 5, 6, 7, 8])
labels = bytes([0, 0, 8, 1, 0, 0, 0, 3, 3, 0, 1])

cases = [
    {"name": "fast", "text": csv, "packed": gzip(csv, "-1")},
    {"name": "best", "text": csv, "packed": gzip(csv, "-9")},
    {"name": "members", "text": csv, "packed": gzip(csv[:100]) + gzip(b"") + gzip(csv[100:])},
    {"name": "filled up with zeros", "text": csv, "packed": gzip(csv) + bytes(100)},
    {"name": "images", "text": images, "packed": gzip(images)},
    {"name": "labels", "text": labels, "packed": gzip(labels)},
    # 1 MiB of zeros in about 1 KB: an IDX header that says 4 bytes, and far more behind it.
    {"name": "bomb", "text": b"", "packed": gzip(bytes([0, 0, 8, 1, 0, 0, 0, 4]) + bytes(1 << 20), "-9")},
]
path = Path(__file__).with_name("gzip.json")
text = [{"name": c["name"], "text": c["text"].hex(), "packed": c["packed"].hex()} for c in cases]
path.write_text(json.dumps(text, indent=1) + "\n")
