"""The dashboard, in a real browser, on real daemons. Prints each check; the last line counts them."""

import os
import sys
import time
import traceback
from pathlib import Path

import own
import thousand
import token_needed


def main():
    room = Path(sys.argv[1])
    passed, failed = 0, 0
    for chapter in (own, token_needed, thousand):
        print(f"-- {chapter.__doc__}", flush=True)
        yard = page = None
        try:
            yard, page = chapter.begin(room)
        except Exception:
            traceback.print_exc()
            failed += len(chapter.CHECKS)
            print("FAILED to begin", flush=True)
        for check in chapter.CHECKS if page else ():
            sentence = check.__name__.replace("_", " ")
            began = time.monotonic()
            try:
                check(yard, page)
                passed += 1
                print(f"ok      {sentence} ({time.monotonic() - began:.1f} s)", flush=True)
                page.shot(f"{chapter.__name__}-{check.__name__}")
            except Exception:
                failed += 1
                traceback.print_exc()
                print(f"FAILED  {sentence}", flush=True)
                page.shot(f"FAILED-{chapter.__name__}-{check.__name__}")
                page.recover()
        if page:
            page.quit()
        if yard:
            yard.stop()
    print(f"browser: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
