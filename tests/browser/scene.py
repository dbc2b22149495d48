"""The targets that the daemon of an ordinary user keeps clean, and a browser of the same user."""

from page import Page
from yard import NOBODY, Yard, far_off, free_port

IMAGE = "<img src=x onerror=window.pwned=1>"
HOSTILE = [IMAGE, '"><script>window.pwned=1</script>', "new\nline", "turned\u202egpj.exe", b"not\xfftext"]
SLOW = 300

CONFIG = """
timezone = "Pacific/Auckland"

[admin]
listen = "127.0.0.1:{port}"

[defaults]
schedule = "0 {hour} * * *"
threads = 1

[[target]]
path = "uploads"
include = ["**"]
older_than = "7d"

[[target]]
path = "big"
include = ["**"]
older_than = "7d"

[[target]]
path = "binned"
include = ["**"]
older_than = "7d"
action = "trash"

[[target]]
path = "guarded"
include = ["**"]
older_than = "7d"
max_deletes = 3

[[target]]
path = "scarce"
include = ["**"]
older_than = "300d"
min_free = "0.1%"

[[target]]
path = "locked"
include = ["**"]
older_than = "7d"

[[target]]
path = "resting"
include = ["**"]
enabled = false
"""


def config(yard):
    return CONFIG.format(port=yard.port, hour=yard.hour)


def fill(yard):
    """What takes a slow daemon seven seconds. A sweep tells its counts at the end of each directory."""
    for number in range(SLOW):
        yard.file(f"big/{number % 30}/{number:03}.tmp", days=10, size=8192)


def begin(room):
    yard = Yard(room, "own", NOBODY, free_port())
    yard.hour = far_off()
    for name in HOSTILE:
        yard.file(b"uploads/" + (name if isinstance(name, bytes) else name.encode()), days=9, size=4096)
    for number in range(3):
        yard.file(f"uploads/fresh{number}", days=1)
        yard.file(f"binned/{number}/photo.jpg", days=20, size=50_000)
    fill(yard)
    for number in range(8):
        yard.file(f"guarded/{number}.log", days=30, size=10_000)
    yard.file("locked/open/old", days=30)
    yard.file("locked/shut/old", days=30)
    yard.file("scarce/young")
    yard.file("resting/any")
    yard.config(config(yard))
    yard.start(slow=True)
    return yard, Page(room, yard)
