"""Counts what held and what did not, and says it as it becomes known."""


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, what, expected, found):
        if expected == found:
            self.passed += 1
            print(f"ok      {what}", flush=True)
        else:
            self.fail(what, f"expected {_short(expected)}\n        found    {_short(found)}")

    def fail(self, what, why):
        self.failed += 1
        print(f"FAILED  {what}\n        {why}", flush=True)


def _short(value):
    text = repr(value)
    return text if len(text) <= 2_000 else f"{text[:2_000]}… ({len(text)} characters)"
